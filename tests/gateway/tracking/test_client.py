"""The client towards MLflow: errors, bounds, and answers that got lost. Over a scripted transport."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.errors import Unavailable
from gateway.tracking.client import RUN_TAG, TrackingClient, TrackingRefused, TrackingUnavailable

START = datetime(2026, 1, 1, tzinfo=UTC)
Handler = Callable[[httpx.Request], httpx.Response]


def over(handler: Handler, seconds: float = 5.0) -> TrackingClient:
    transport = httpx.MockTransport(handler)
    return TrackingClient("http://mlflow.test/base/", httpx.AsyncClient(transport=transport), seconds=seconds)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
async def test_a_failing_server_is_unavailable(status: int) -> None:
    client = over(lambda request: httpx.Response(status, text="<html>"))
    with pytest.raises(TrackingUnavailable):
        await client.ensure_experiment("x")
    assert not await client.healthy()


async def test_a_refusal_carries_mlflows_words() -> None:
    told = {"error_code": "INVALID_PARAMETER_VALUE", "message": "no such status"}
    client = over(lambda request: httpx.Response(400, json=told))
    with pytest.raises(TrackingRefused, match="no such status") as caught:
        await client.update_run("r", "X")
    assert (caught.value.error_code, caught.value.http_status) == ("INVALID_PARAMETER_VALUE", 400)


async def test_a_refusal_by_something_else_is_still_one_sentence() -> None:
    with pytest.raises(TrackingRefused, match=r"^The tracking server refused the request \(HTTP 404\)\.$"):
        await over(lambda request: httpx.Response(404, text="<html>")).set_tags("r", {"a": "b"})


async def test_no_connection_is_unavailable() -> None:
    client = TrackingClient("http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        await client.call("GET", "runs/get")
    await client.close()


async def test_a_slow_server_takes_no_longer_than_allowed() -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A byte now and then: no single read takes long."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(4096), 0.05)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        hung_up.set()

    hung_up = asyncio.Event()
    slow = await asyncio.start_server(dribble, "127.0.0.1", 0)
    client = TrackingClient(f"http://127.0.0.1:{slow.sockets[0].getsockname()[1]}", seconds=0.3)
    began = time.monotonic()
    with pytest.raises(TrackingUnavailable):
        await client.call("GET", "runs/get")
    assert time.monotonic() - began < 30
    await client.close()
    await hung_up.wait()
    slow.close()
    await slow.wait_closed()


async def test_what_was_made_of_a_run_is_found_by_its_tag_the_oldest_first() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        if request.url.path.endswith("/create"):
            return httpx.Response(200, json={"run": {"info": {"run_id": "new"}}})
        infos = [{"run_id": name, "start_time": time} for name, time in (("c", "20"), ("b", "3"), ("a", "20"))]
        return httpx.Response(200, json={"runs": [{"info": info} for info in infos]})

    run_id = uuid4()
    client = over(answer)
    assert await client.create_run("1", run_id, "n", "u", {"a": "b"}, START) == "new"
    assert await client.runs_of("1", run_id) == ["b", "a", "c"]
    made, searched = asked
    assert {"key": RUN_TAG, "value": str(run_id)} in made["tags"]
    assert (made["run_name"], made["user_id"], made["start_time"]) == ("n", "u", 1767225600000)
    assert (searched["experiment_ids"], searched["filter"]) == (["1"], f"tags.`{RUN_TAG}` = '{run_id}'")


async def test_long_values_and_many_tags_fit_mlflow() -> None:
    batches: list[dict[str, Any]] = []

    def keep(request: httpx.Request) -> httpx.Response:
        batches.append(json.loads(request.content))
        return httpx.Response(200, json={})

    client = over(keep)
    await client.set_tags("r", {f"t{i}": "x" * 9000 for i in range(250)})
    await client.log_params("r", {"p": "y" * 9000})
    assert [len(b.get("tags", ())) for b in batches] == [100, 100, 50, 0]
    assert len(batches[0]["tags"][0]["value"]) == 8000
    assert len(batches[3]["params"][0]["value"]) == 6000


async def test_an_artifact_goes_through_the_servers_proxy() -> None:
    seen: list[tuple[str, str, bytes]] = []

    def keep(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.raw_path.decode(), request.content))
        return httpx.Response(200, json={"run": {"info": {"artifact_uri": "mlflow-artifacts:/7/r/artifacts"}}})

    await over(keep).log_artifact("r", "mantik/job script.sh", b"#!/bin/sh")
    put = "/base/api/2.0/mlflow-artifacts/artifacts/7/r/artifacts/mantik/job%20script.sh"
    assert seen[1] == ("PUT", put, b"#!/bin/sh")
