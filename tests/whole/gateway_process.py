"""A gateway as its users have it: `mantik serve` in a process of its own, spoken to over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

PASSWORD = "a-password-of-tests"
FINAL = {"FINISHED", "FAILED", "CANCELLED"}


class GatewayProcess:
    """Start it, kill it, start it again over the same data."""

    def __init__(self, data: Path, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = data
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("MANTIK_", "MLFLOW_"))},
            "MANTIK_DATA_DIR": str(data),
            "MANTIK_PORT": str(self.port),
            "MANTIK_LOCAL_GIT_ALLOWED": "true",
            "MANTIK_FIRST_ADMIN_PASSWORD": PASSWORD,
            **settings,
        }
        self.command = ("-m", "gateway.cli.main", "serve")
        self.log = data.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=60)

    def start(self, *, tracking: bool = True) -> None:
        """On return it answers; with `tracking` MLflow does too."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command], env=self.environment, stdout=log, stderr=log
            )
        wanted = "ok" if tracking else None
        wait_for(lambda: self._healthy(wanted), 150, lambda: self.log.read_text()[-3000:])
        if "Authorization" not in self.http.headers:
            login = self.http.post("/mantik/tokens/create", json={"username": "admin", "password": PASSWORD})
            self.http.headers["Authorization"] = f"Bearer {login.json()['AccessToken']}"

    def _healthy(self, tracking: str | None) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            health = self.http.get("/health").json()
        except httpx.TransportError:
            return False
        return bool(tracking is None or health["tracking"] == tracking)

    def kill(self) -> None:
        """As by the kernel: -9, without a word."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.http.close()

    def call(self, method: str, path: str, body: object = None, **query: Any) -> Any:
        """The answer's JSON; the test fails with the error's text."""
        answer = self.http.request(method, path, json=body, params=query)
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def problem(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The body of an error that must come."""
        answer = self.http.request(method, path, json=body)
        assert answer.status_code >= 400, answer.text
        problem: dict[str, Any] = answer.json()
        assert "Traceback" not in answer.text
        return problem


def wait_for(what: Any, seconds: float, explain: Any = lambda: "") -> Any:
    """Until `what()` is true; fails with the explanation."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        time.sleep(0.05)
    return found


@contextmanager
def running(data: Path, *, tracking: bool = True, **settings: str) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(data, **settings)
    try:
        gateway.start(tracking=tracking)
        yield gateway
    finally:
        gateway.stop()
