"""Streams end with the login and the membership they began with, and a user has a bounded number of them."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import delete

from gateway import clock
from gateway.api import run_streams
from gateway.errors import Forbidden, TooMany
from gateway.logs import follow
from gateway.projects.rows import Member
from gateway.users.rows import ApiToken, User
from gateway.users.tokens import hash_token
from tests.gateway.world import World

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
STREAM = {"accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def quick_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "STEP_SECONDS", 0.01)
    monkeypatch.setattr(follow, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(run_streams, "RECHECK_SECONDS", 0.0)


@SQLITE
@pytest.mark.parametrize("end", ["removed", "disabled", "revoked", "expired"])
async def test_a_followed_log_ends_with_what_allowed_it(
    api: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    place, guest = await world.run(await world.place()), await world.person("guest")
    async with world.context.db.transaction() as session:
        token = ApiToken(user_id=guest.id, name="script", token_hash=hash_token("mantik_pat_x"))
        session.add(token)
    headers = guest.headers if end == "expired" else {"Authorization": "Bearer mantik_pat_x"}
    real, asked = run_streams.service.may_read_log, 0

    async def may_read_log(*doors: object) -> str:
        nonlocal asked
        asked += 1
        answer: str = await real(*doors)  # type: ignore[arg-type]
        if asked == 2:
            await _end(world, place.ids["projectId"], guest.id, token.id, end)
        return answer

    monkeypatch.setattr(run_streams.service, "may_read_log", may_read_log)
    path = f"/projects/{place.ids['projectId']}/runs/{place.ids['runId']}/logs"
    answer = await api.get(path, headers={**headers, **STREAM})
    assert answer.status_code == 200
    assert "event: end" not in answer.text, "the run goes on, and this follower is told no more of it"


async def _end(world: World, project_id: str, user_id: uuid.UUID, token_id: uuid.UUID, end: str) -> None:
    if end == "expired":
        later = clock.now() + timedelta(hours=2)
        clock.use(lambda: later)
        return
    async with world.context.db.transaction() as session:
        if end == "removed":
            wanted = (Member.project_id == uuid.UUID(project_id), Member.user_id == user_id)
            await session.execute(delete(Member).where(*wanted))
        elif end == "disabled":
            (await session.get_one(User, user_id)).disabled_at = clock.now()
        else:
            (await session.get_one(ApiToken, token_id)).revoked_at = clock.now()


async def _told() -> run_streams.Told:
    while True:
        yield {"event": "beat"}


def _always(error: Exception | None = None) -> Callable[[], Awaitable[None]]:
    async def may() -> None:
        if error:
            raise error

    return may


async def test_a_user_has_a_bounded_number_of_streams() -> None:
    followers, user = run_streams.Followers(), uuid.uuid4()
    streams = [followers.watched(user, _told(), _always()) for _ in range(run_streams.MOST_STREAMS)]
    for stream in streams:
        await anext(stream)
    with pytest.raises(TooMany, match=r"You follow 20 runs already\. Stop following one of them\."):
        followers.check(user)
    followers.check(uuid.uuid4())
    await streams[0].aclose()
    followers.check(user)
    ended = followers.watched(user, _told(), _always(Forbidden()))
    assert [one async for one in ended] == []
    followers.check(user)
    for stream in streams:
        await stream.aclose()


@SQLITE
@pytest.mark.parametrize("query", ["logs?offset={n}", "logs?generation={n}", "events?cursor={n}"])
async def test_numbers_that_no_database_takes(api: httpx.AsyncClient, world: World, query: str) -> None:
    place, owner = await world.run(await world.place()), await world.person("owner")
    path = f"/projects/{place.ids['projectId']}/runs/{place.ids['runId']}"
    answer = await api.get(f"{path}/{query.format(n=2**63)}", headers=owner.headers)
    assert answer.status_code == 422
    for last in (f"0.{2**63}", "9" * 5000):
        told = await api.get(f"{path}/logs", headers={**owner.headers, **STREAM, "last-event-id": last})
        assert told.status_code == 422


@SQLITE
async def test_nul_in_a_body_is_named_by_its_field(api: httpx.AsyncClient, world: World) -> None:
    place, owner = await world.place(), await world.person("owner")
    path = f"/projects/{place.ids['projectId']}"
    for field, body in (
        ("name", {"name": "a\0b"}),
        ("mlflowParameters", {"name": "a", "mlflowParameters": {"k\0": 1}}),
        ("backendConfig", {"name": "a", "backendConfig": {"SSH": ["\0"]}}),
    ):
        where = f"{path}/runs" if len(body) > 1 else f"{path}/experiments"
        given = {**body, "experimentRepositoryId": place.ids["experimentRepositoryId"]} if len(body) > 1 else body
        answer = await api.post(where, json=given, headers=owner.headers)
        assert answer.status_code == 422
        found = [e for e in answer.json()["errors"] if e["field"] == field]
        assert found == [{"field": field, "message": "must not contain the character NUL."}]
