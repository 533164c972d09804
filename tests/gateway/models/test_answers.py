"""Answers that MLflow would not give: each ends as an error of the gateway, with the next step a later try."""

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.tracking import logged
from gateway.tracking.client import TrackingClient
from gateway.tracking.transport import TrackingUnavailable


def speaking(answer: httpx.Response) -> TrackingClient:
    async def handle(_: httpx.Request) -> httpx.Response:
        return answer

    return TrackingClient("http://mlflow", httpx.AsyncClient(transport=httpx.MockTransport(handle)))


@pytest.mark.parametrize("content", [b"<html>log in</html>", b"\xff", b"[1]", b"1"])
async def test_an_answer_that_is_no_json_object_is_no_answer(content: bytes) -> None:
    client = speaking(httpx.Response(200, content=content))
    with pytest.raises(TrackingUnavailable, match="something that is not JSON"):
        await client.call("GET", "runs/get")
    with pytest.raises(TrackingUnavailable, match="something that is not JSON"):
        await logged.files_of(client, "mlflow-artifacts:/1/models/m-1/artifacts")
    await client.close()


async def test_a_body_that_breaks_off_is_no_answer() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise httpx.ReadError("reset")

    client = speaking(httpx.Response(200, content=broken()))
    chunks = logged.content(client, "mlflow-artifacts:/1/models/m-1/artifacts", "x")
    assert await anext(chunks) == b"some"
    with pytest.raises(TrackingUnavailable):
        await anext(chunks)
    await client.close()
