"""The MLflow server that the gateway would start, in a process of the bench."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.tracking.server import MlflowServer


@contextmanager
def mlflow_server(directory: Path) -> Iterator[str]:
    """Its URL, once it answers. Its keeper needs an event loop: one in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = MlflowServer(directory)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
        assert asyncio.run_coroutine_threadsafe(server.ready(90), loop).result(100), server.log.read_text()
        yield server.uri
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
