"""When a run token works, and for whom."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from gateway import clock
from gateway.db.session import Database
from gateway.errors import Forbidden
from gateway.runs.rows import Attempt, Run
from gateway.runs.states import State
from gateway.tracking import tokens
from gateway.tracking.rows import RunToken
from gateway.tracking.scopes import require_own_run
from gateway.users.caller import Caller
from gateway.users.rows import User
from tests.gateway.tracking.house import Home, a_home, add_run, run_token

EARLY = {State.CREATED, State.PREPARING}
ENDED = {State.FINISHED, State.FAILED, State.CANCELLED}


async def ask(db: Database, token: str) -> Caller | None:
    async with db.reading() as session:
        return await tokens.authenticate(session, token)


@pytest.mark.parametrize("state", list(State))
async def test_a_token_works_from_submitting_on(database: Database, state: State) -> None:
    home = await a_home(database)
    run = await add_run(database, home, state, ended_at=clock.now() if state in ENDED else None)
    caller = await ask(database, await run_token(database, run))
    assert (caller is None) == (state in EARLY)
    if caller is not None:
        assert (caller.run_id, caller.project_id, caller.user_id) == (run.id, home.project.id, home.user.id)
        assert not caller.is_admin


async def test_a_token_ends_an_hour_after_its_run_and_not_by_the_clock(database: Database) -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    home = await a_home(database)
    waiting = await run_token(database, await add_run(database, home, "QUEUED"))
    ended = await run_token(database, await add_run(database, home, "FINISHED", ended_at=began))
    clock.use(lambda: began + timedelta(minutes=59, seconds=59))
    assert await ask(database, ended) is not None
    clock.use(lambda: began + timedelta(hours=1))
    assert await ask(database, ended) is None
    clock.use(lambda: began + timedelta(days=60))
    assert await ask(database, waiting) is not None


async def test_only_a_hash_is_kept(database: Database) -> None:
    token = await run_token(database, await add_run(database, await a_home(database)))
    assert token.startswith("mrt_")
    async with database.reading() as session:
        kept = (await session.scalars(select(RunToken))).one()
    assert token not in kept.token_hash
    assert token.removeprefix("mrt_") not in kept.token_hash


@pytest.mark.parametrize("end", ["revoked attempt", "deleted run", "disabled user", "another text"])
async def test_what_ends_a_token(database: Database, end: str) -> None:
    home: Home = await a_home(database)
    run = await add_run(database, home)
    token = await run_token(database, run)
    assert await ask(database, token) is not None
    async with database.transaction() as session:
        if end == "revoked attempt":
            session.add(Attempt(run_id=run.id, n=1, tag="t", revoked_at=clock.now()))
        elif end == "deleted run":
            (await session.get_one(Run, run.id)).deleted_at = clock.now()
        elif end == "disabled user":
            (await session.get_one(User, home.user.id)).disabled_at = clock.now()
    assert await ask(database, token + "x" if end == "another text" else token) is None


async def test_a_token_of_another_attempt_outlives_a_revoked_one(database: Database) -> None:
    run = await add_run(database, await a_home(database))
    async with database.transaction() as session:
        session.add(Attempt(run_id=run.id, n=1, tag="t", revoked_at=clock.now()))
        session.add(Attempt(run_id=run.id, n=2, tag="u"))
        second, row = tokens.new(run.id, 2)
        session.add(row)
    assert await ask(database, second) is not None


def test_the_gateways_own_endpoints_of_a_run() -> None:
    user = Caller(uuid4(), "u")
    run = Caller(user.user_id, "u", run_id=uuid4(), project_id=uuid4())
    assert run.run_id is not None
    for endpoint in ("infrastructure", "notebook-source", "status"):
        require_own_run(run, run.run_id, "PUT", endpoint)
        with pytest.raises(Forbidden):
            require_own_run(run, user.user_id, "PUT", endpoint)
    for method, endpoint in (("PUT", "logs"), ("DELETE", ""), ("GET", "infrastructure")):
        with pytest.raises(Forbidden):
            require_own_run(run, run.run_id, method, endpoint)
    for endpoint in ("", "events", "logs"):
        require_own_run(run, run.run_id, "GET", endpoint)
    require_own_run(user, run.run_id, "DELETE", "")
