"""Artifacts go through as they come, both ways, without what is not MLflow's business."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.db.session import Database
from gateway.tracking.client import TrackingClient
from tests.gateway.tracking.house import a_home, application, door, served

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PLACE = "api/2.0/mlflow-artifacts/artifacts/7/r/artifacts/big.bin"


class Upstream(httpx.AsyncBaseTransport):
    """An MLflow that handles bytes one chunk at a time and says when."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.first_chunk = asyncio.Event()
        self.go_on = asyncio.Event()
        self.received = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "GET":
            headers = {"content-type": "text/html", "set-cookie": "a=b", "content-length": "10", "connection": "close"}
            return httpx.Response(200, headers=headers, content=self._slowly())
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for chunk in request.stream:
            self.received += len(chunk)
            self.first_chunk.set()
        return httpx.Response(200, content=self._nothing())

    async def _nothing(self) -> AsyncIterator[bytes]:
        for chunk in ():
            yield chunk

    async def _slowly(self) -> AsyncIterator[bytes]:
        yield b"12345"
        await self.go_on.wait()
        yield b"67890"


async def test_an_upload_is_passed_on_while_it_comes(database: Database) -> None:
    upstream = Upstream()
    home = await a_home(database, mlflow_id="7")
    client = TrackingClient("http://mlflow.test", httpx.AsyncClient(transport=upstream))

    async def bytes_() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await asyncio.wait_for(upstream.first_chunk.wait(), 10)  # MLflow has it before we send more
        for _ in range(100):
            yield b"y" * 2**20

    async with door(application(database, client), home.token) as http:
        headers = {"cookie": "session=1", "content-type": "application/x-thing", "x-forwarded-for": "1.2.3.4"}
        answer = await http.put(f"/{PLACE}", content=bytes_(), headers=headers)
    assert answer.status_code == 200
    assert upstream.received == 1000 + 100 * 2**20
    sent = upstream.requests[0]
    assert sent.headers["content-type"] == "application/x-thing"
    assert sent.headers["host"] == "mlflow.test"
    assert not {"authorization", "cookie", "x-forwarded-for"} & set(sent.headers)


async def test_a_download_is_passed_on_while_it_comes(database: Database) -> None:
    upstream = Upstream()
    home = await a_home(database, mlflow_id="7")
    client = TrackingClient("http://mlflow.test", httpx.AsyncClient(transport=upstream))
    headers = {"authorization": f"Bearer {home.token}", "range": "bytes=0-9"}
    async with (
        served(application(database, client)) as uri,
        httpx.AsyncClient() as http,
        http.stream("GET", uri + PLACE, headers=headers) as answer,
    ):
        parts = answer.aiter_raw()
        assert await asyncio.wait_for(anext(parts), 10) == b"12345"
        upstream.go_on.set()
        assert [part async for part in parts] == [b"67890"]
    assert upstream.requests[0].headers["range"] == "bytes=0-9"
    assert answer.headers["content-length"] == "10"
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-security-policy"] == "sandbox"


async def test_nothing_but_the_checked_fields_reaches_mlflow(database: Database) -> None:
    """A GET's body, and the query of the others, are read by some handlers of MLflow: they do not go on."""
    seen: list[httpx.Request] = []

    def upstream(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"run": {"info": {"experiment_id": "7", "run_id": "r"}}})

    home = await a_home(database, mlflow_id="7")
    client = TrackingClient("http://mlflow.test", httpx.AsyncClient(transport=httpx.MockTransport(upstream)))
    async with door(application(database, client), home.token) as http:
        tag = {"runId": "r", "key": "k", "value": "v"}
        set_tag = await http.post("/api/2.0/mlflow/runs/set-tag?run_id=r&workspace=w", json=tag)
        get = await http.request("GET", "/api/2.0/mlflow/runs/get?run_id=r", json={"run_id": "q"})
    assert (set_tag.status_code, get.status_code) == (200, 200)
    assert seen[1].url.query == b""
    assert seen[1].content == b'{"run_id": "r", "key": "k", "value": "v"}'
    assert seen[2].content == b""
