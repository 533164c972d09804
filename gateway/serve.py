"""`mantik serve`: one process with API, engine and, on defaults, its own database and MLflow."""

import asyncio
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import uvicorn

from gateway.api.app import create_app
from gateway.assembly import Gateway, assembled
from gateway.context import Context
from gateway.errors import Conflict, Unavailable
from gateway.server_log import logs_requests, start_log
from gateway.settings import Settings

LOCK_FILE = "gateway.lock"
_BACKLOG = 2048
Say = Callable[[str], None]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def serve(settings: Settings, say: Say = _say) -> None:
    """Run until SIGINT or SIGTERM. `say` gets the address, and at the first start the login, line by line.

    Raises GatewayError with one clear sentence when it cannot start."""
    start_log(settings.log_level)
    os.umask(0o077)
    _make_private(settings.data_dir)
    with _locked(settings), _listening(settings) as listener:
        asyncio.run(_run(settings, listener, say))


async def _run(settings: Settings, listener: socket.socket, say: Say) -> None:
    async with assembled(settings) as gateway:
        _greet(gateway, say)
        server = _Server(_configuration(gateway.context))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.handle_exit, number, None)
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn's own way ends the process before the engine and MLflow are stopped."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _configuration(context: Context) -> uvicorn.Config:
    settings = context.settings
    return uvicorn.Config(
        create_app(context),
        lifespan="off",
        log_config=None,
        access_log=logs_requests(settings.log_level),
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=settings.graceful_stop_seconds,
    )


def _greet(gateway: Gateway, say: Say) -> None:
    settings = gateway.context.settings
    logging.getLogger("gateway").info("serving at %s", settings.public_url)
    say(f"Mantik gateway: {settings.public_url}")
    if gateway.first_login is not None:
        name, password = gateway.first_login
        shown = password if settings.first_admin_password is None else "(as set by MANTIK_FIRST_ADMIN_PASSWORD)"
        say(f"First login, shown only now: user {name}, password {shown}")


def _make_private(directory: Path) -> None:
    """The directory holds keys, code and logs: nobody else on this machine may enter it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if not stat.S_IMODE(found.st_mode) & 0o077:
        return
    if found.st_uid != os.geteuid():
        raise Conflict(
            f"The data directory {directory} is open to other users of this machine, and belongs to another user.",
            next_step="Set MANTIK_DATA_DIR to a directory of the gateway's own user.",
        )
    directory.chmod(0o700)


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """One process per data directory where it holds the database or MLflow."""
    if not settings.embedded and settings.tracking_uri:
        yield
        return
    lock = filelock.FileLock(settings.data_dir / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise Conflict(
            f"Another gateway uses the data directory {settings.data_dir}.",
            next_step="Stop it, or set MANTIK_DATA_DIR to another directory.",
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Bind before anything is started: a taken port is told at once, and early requests wait instead of failing."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"The gateway cannot listen on {settings.host}:{settings.port} ({error.strerror or error}).",
            next_step="Set MANTIK_HOST or MANTIK_PORT to a free address.",
        ) from None
    with listener:
        yield listener
