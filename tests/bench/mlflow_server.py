"""The MLflow server that the gateway would start, in a process of the bench, and on a port for raw loops beside it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from gateway.tracking.server import MlflowServer
from tests.bench.scene import free_port


class ServerOnPort(MlflowServer):
    """On the loopback instead of its socket."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        words = super().command()
        at = words.index("--uvicorn-opts")
        return [*words[:at], "--host", "127.0.0.1", "--port", str(self.port), *words[at + 2 :]]

    def transport(self) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(trust_env=False)


@contextmanager
def mlflow_server(directory: Path) -> Iterator[str]:
    """Its URL, once it answers. Its keeper needs an event loop: one in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ServerOnPort(directory)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
        assert asyncio.run_coroutine_threadsafe(server.ready(90), loop).result(100), server.log.read_text()
        yield server.uri
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
