"""A site tells of a job: by the secret address of one attempt, or not at all."""

import uuid
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from gateway.api.app import create_app
from gateway.api.routers.notifications import MOST_BYTES, PER_MINUTE
from gateway.context import Context
from gateway.secrets.notification import Told, secret_of

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ABOUT = Told(uuid.uuid4(), 1)
MESSAGE = b'{"status":"RUNNING"}'


class Ear:
    """Takes the place of the engine."""

    def __init__(self) -> None:
        self.heard: list[tuple[Told, str, bytes]] = []

    def wake(self) -> None:
        """Nothing is due."""

    def tell(self, about: Told, authorization: str, body: bytes) -> None:
        self.heard.append((about, authorization, body))


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def app(context: Context, ear: Ear) -> FastAPI:
    return create_app(replace(context, engine=ear))


@pytest.fixture
def path(context: Context) -> str:
    return f"/notifications/{secret_of(context.vault, ABOUT)}"


async def test_what_was_told_reaches_the_engine_as_it_came(api: httpx.AsyncClient, ear: Ear, path: str) -> None:
    answer = await api.post(path, content=MESSAGE, headers={"Authorization": "Bearer signed"})
    assert (answer.status_code, answer.content) == (204, b"")
    await api.post(path, content=b"\xff")
    assert ear.heard == [(ABOUT, "Bearer signed", MESSAGE), (ABOUT, "", b"\xff")]


async def test_another_address_is_none_and_the_limit_of_visitors_counts_there(
    api: httpx.AsyncClient, app: FastAPI, ear: Ear, path: str
) -> None:
    for wrong in (path[:-4], f"{path}AAAA", "/notifications/x", f"/notifications/{'x' * 201}"):
        answer = await api.post(wrong, content=MESSAGE)
        assert answer.status_code in (404, 422)
        assert str(ABOUT.run_id) not in answer.text
    app.state.rate_limit._most = 1.0
    app.state.rate_limit._buckets.clear()
    assert [(await api.post("/notifications/x")).status_code for _ in range(2)] == [404, 429]
    assert ear.heard == []


async def test_one_attempt_is_told_of_only_so_often(
    api: httpx.AsyncClient, context: Context, ear: Ear, path: str
) -> None:
    answers = [(await api.post(path, content=MESSAGE)).status_code for _ in range(PER_MINUTE + 5)]
    assert answers[:PER_MINUTE] == [204] * PER_MINUTE
    assert answers[-1] == 429
    other = secret_of(context.vault, Told(ABOUT.run_id, 2))
    assert (await api.post(f"/notifications/{other}")).status_code == 204
    assert len(ear.heard) <= PER_MINUTE + 3


async def test_a_large_message_is_refused(api: httpx.AsyncClient, ear: Ear, path: str) -> None:
    answer = await api.post(path, content=b"x" * (MOST_BYTES + 1))
    assert answer.status_code == 413
    assert ear.heard == []


async def test_without_an_engine_it_is_taken_and_forgotten(context: Context, path: str) -> None:
    transport = httpx.ASGITransport(create_app(context))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test/api/v1") as client:
        assert (await client.post(path, content=MESSAGE)).status_code == 204
