"""`serve` as a process of its own: first start, second process, stop."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.errors import Conflict
from gateway.serve import _make_private

PROGRAM = """
import sys
from gateway.errors import GatewayError
from gateway.serve import serve
from gateway.settings import load
try:
    serve(load())
except GatewayError as error:
    sys.exit(f"refused: {error.detail}")
"""


class Served:
    """A gateway without MLflow: tracking points to a port where nobody listens."""

    def __init__(self, directory: Path, port: int, **more: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        settings = {"DATA_DIR": str(directory), "PORT": str(port), "TRACKING_URI": "http://127.0.0.1:9", **more}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MANTIK_")}
        environment |= {f"MANTIK_{k}": v for k, v in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment, stdout=-1, stderr=-1, text=True
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def health(self) -> httpx.Response:
        """Waits for the first answer: the socket takes connections before the application does."""
        return httpx.get(f"{self.url}/api/v1/health", timeout=30, trust_env=False)

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


def test_a_data_directory_is_made_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(Conflict, match=r"belongs to another user\. Set MANTIK_DATA_DIR"):
        _make_private(tmp_path)
    monkeypatch.undo()
    _make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.fixture
def port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@pytest.fixture
def served(tmp_path: Path, port: int) -> Iterator[Served]:
    running = Served(tmp_path / "data", port)
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.process.communicate()


def test_from_the_first_start_to_the_second(served: Served, tmp_path: Path, port: int) -> None:
    assert served.line() == f"Mantik gateway: http://127.0.0.1:{port}\n"
    login = re.fullmatch(r"First login, shown only now: user (\S+), password (\S+)\n", served.line())
    assert login is not None
    assert served.health().json()["database"] == "ok"
    body = {"username": login[1], "password": login[2]}
    tokens = httpx.post(f"{served.url}/api/v1/mantik/tokens/create", json=body, trust_env=False).json()
    headers = {"Authorization": f"Bearer {tokens['AccessToken']}"}
    me = httpx.get(f"{served.url}/api/v1/users/me", headers=headers, trust_env=False).json()
    assert (me["name"], me["isAdmin"]) == ("admin", True)
    path = f"{served.url}/api/v1/users/{me['userId']}/settings/connections"
    connections = httpx.get(path, headers=headers, trust_env=False).json()["items"]
    assert [(c["connectionName"], c["siteName"]) for c in connections] == [("local", "local")]

    _second_process_is_refused(tmp_path)

    code, errors = served.stop()
    assert (code, "Traceback" in errors) == (0, False), errors
    assert login[2] not in errors
    again = Served(tmp_path / "data", port)
    again.line()
    assert httpx.get(f"{served.url}/api/v1/users/me", headers=headers, timeout=30, trust_env=False).status_code == 200
    assert again.stop()[0] == 0


@pytest.mark.parametrize(
    ("level", "kept", "requests"), [("", True, False), ("warning", False, False), ("DEBUG", True, True)]
)
def test_how_much_is_logged(tmp_path: Path, port: int, level: str, kept: bool, requests: bool) -> None:
    served = Served(tmp_path / "data", port, LOG_LEVEL=level)
    served.line()
    served.health()
    code, lines = served.stop()
    assert code == 0, lines
    stamp = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "
    serving = re.search(rf"{stamp}INFO gateway: serving at {served.url}$", lines, re.MULTILINE)
    asked = re.findall(rf'{stamp}INFO uvicorn\.access: 127.* "GET /api/v1/health HTTP/1\.1" 200$', lines, re.MULTILINE)
    assert (serving is not None, len(asked)) == (kept, int(requests)), lines


def _second_process_is_refused(tmp_path: Path) -> None:
    started = time.monotonic()
    second = Served(tmp_path / "data", 1)
    _, errors = second.process.communicate(timeout=30)
    assert errors.startswith(f"refused: Another gateway uses the data directory {tmp_path / 'data'}. Stop it, or set")
    assert time.monotonic() - started < 20


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = Served(tmp_path / "data", port)
        _, errors = refused.process.communicate(timeout=30)
    assert errors.startswith(f"refused: The gateway cannot listen on 127.0.0.1:{port}")
    assert not (tmp_path / "data" / "gateway.db").exists()
