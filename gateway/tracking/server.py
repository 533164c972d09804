"""The embedded MLflow server: one child process behind a socket that only the gateway's own account can enter.

Started with the gateway and gone with it."""

import asyncio
import contextlib
import logging
import os
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlsplit

import httpx
import psutil

from gateway.tracking.process_group import end_group
from gateway.tracking.transport import unix_transport

_log = logging.getLogger(__name__)
URI = "http://localhost"
"""What requests on the socket are addressed to; MLflow refuses other hosts."""
LONGEST_SOCKET = 100
"""Bytes of a socket's path that every system takes, with room for its end (108 on Linux, 104 on others)."""
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
"""All that MLflow sees of our environment: no setting and no secret of the gateway is among it."""
LOG_KEPT = 10 * 2**20
BACK_OFF_FIRST, BACK_OFF_MOST = 0.5, 30.0
STEADY_SECONDS = 60.0
"""A server that ran this long starts its back-off anew."""


class MlflowServer:
    """`mlflow server` over SQLite and a directory, restarted when it dies.

    `start` returns at once: the server answers 6 to 12 s later, and until then calls end as TrackingUnavailable.
    A server left over by a killed gateway is ended first, so that a directory never has two.
    It has no login: who may connect is decided by the mode of the directory that holds its socket.
    """

    uri = URI

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory.absolute() / "mlflow.sock"
        """Where it listens once it was started; the same over its restarts."""
        self.log = directory / "mlflow.log"
        self._pid_file = directory / "mlflow.pid"
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        """Held while a process is made: a stop in the middle would not know it."""

    @property
    def pid(self) -> int | None:
        """Of the process group, while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory.chmod(0o700)  # uvicorn opens the socket itself to all
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET:
            self.socket = Path(tempfile.mkdtemp(prefix="mantik-mlflow-")) / "mlflow.sock"
        (self.directory / "artifacts").mkdir(exist_ok=True, mode=0o700)
        await asyncio.to_thread(self._end_left_over)
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name="mlflow server")

    async def stop(self) -> None:
        """After it no process of the group is left."""
        if self._keeper is not None:
            async with self._starting:
                self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._end()
        self._pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        if self.socket.parent != self.directory.absolute():
            shutil.rmtree(self.socket.parent, ignore_errors=True)

    async def ready(self, seconds: float = 60.0) -> bool:
        """Waits until it answers; False when it does not in this time."""
        async with httpx.AsyncClient(transport=self.transport(), timeout=2.0) as http:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not await _answers(http, self.uri):  # noqa: ASYNC110  # another process: no event to wait for
                        await asyncio.sleep(0.1)
                    return True
        return False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _keep(self) -> None:
        wait = BACK_OFF_FIRST
        while True:
            began = time.monotonic()
            if self._process is not None:
                await self._process.wait()
            await self._end()  # the worker may have outlived the command
            wait = BACK_OFF_FIRST if time.monotonic() - began > STEADY_SECONDS else min(2 * wait, BACK_OFF_MOST)
            await pause(wait)
            try:
                await self._spawn()
            except OSError as error:  # such as a full disk: tried again like a server that died
                _log.warning("the MLflow server cannot be started: %s", error)

    async def _spawn(self) -> None:
        async with self._starting:
            with self._open_log() as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self.command(),
                    env=self.environment(),
                    cwd=self.directory,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended at once
            self._pid_file.write_text(f"{self._process.pid} {psutil.Process(self._process.pid).create_time()}")

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server", "--uvicorn-opts", f"--uds {shlex.quote(str(self.socket))}"),
            *("--backend-store-uri", f"sqlite:///{self.directory.absolute() / 'mlflow.db'}"),
            *("--artifacts-destination", str(self.directory.absolute() / "artifacts"), "--serve-artifacts"),
            *("--workers", "1", "--allowed-hosts", urlsplit(self.uri).netloc),
        ]

    def transport(self) -> httpx.AsyncBaseTransport:
        """A way to it for a client of httpx, of which it becomes a part."""
        return unix_transport(self.socket)

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        # Without the job runners it is 2 processes and 0.5 GB instead of 9 and 2.1 GB.
        return {**kept, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}

    def _open_log(self) -> IO[bytes]:
        if self.log.exists() and self.log.stat().st_size > LOG_KEPT:
            self.log.replace(self.log.with_suffix(".log.1"))
        return self.log.open("ab")

    async def _end(self) -> None:
        """Once per process: its number may be another one's soon after."""
        if self._process is not None:
            await asyncio.to_thread(end_group, self._process.pid)
            await self._process.wait()
            self._process = None

    def _end_left_over(self) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pid, created = self._pid_file.read_text().split()
            if abs(psutil.Process(int(pid)).create_time() - float(created)) < 1.0:
                end_group(int(pid))


async def pause(seconds: float) -> None:
    """Between two starts."""
    await asyncio.sleep(seconds)


async def _answers(http: httpx.AsyncClient, uri: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return (await http.get(f"{uri}/health")).is_success
    return False
