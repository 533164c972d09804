"""Taking a run: every wrong field at once, the same key once, limits; previews that are submitted byte for byte."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, func, select, update

from compute_backend_configs import LoadedConfig, parse_config_data
from gateway import clock
from gateway.connections.rows import Connection
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound, TooMany, Unavailable
from gateway.mlproject import EntryPointCommand
from gateway.projects.rows import Member
from gateway.runs import intake, preview
from gateway.runs.rows import Event, Manifest, Run
from gateway.runs.states import State
from gateway.schemas.runs import Preview, SubmitRun, SubmittedRun
from gateway.sites.rows import Site
from gateway.users.caller import Caller
from tests.gateway.engine.yard import Commands, Yard
from tests.gateway.world import World


async def submit(
    yard: Yard,
    body: SubmitRun,
    *,
    key: str | None = None,
    caller: Caller | None = None,
    db: Database | None = None,
    **limits: int,
) -> SubmittedRun:
    settings = yard.context.settings.model_copy(update=limits)
    return await intake.submit(db or yard.db, settings, caller or yard.caller, yard.project_id, body, key=key)


async def count(yard: Yard) -> int:
    async with yard.db.reading() as session:
        return int(await session.scalar(select(func.count()).select_from(Run)) or 0)


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Database]:
    """The pool of a second gateway process."""
    db = Database(database_url)
    yield db
    await db.close()


async def test_a_run_is_stored_with_its_event_and_is_due(yard: Yard) -> None:
    answer = await submit(yard, yard.body())
    assert answer.state == "CREATED"
    run = await yard.run(answer.run_id)
    assert (run.state, run.created_by, run.run_as) == ("CREATED", yard.caller.user_id, yard.caller.user_id)
    assert run.due_at is not None
    (event,) = await yard.events(answer.run_id)
    assert (event.to_state, event.actor_id) == ("CREATED", yard.caller.user_id)


async def test_every_wrong_field_is_named_at_once(yard: Yard) -> None:
    body = yard.body(
        experiment_repository_id=uuid.uuid4(),
        code_repository_id=uuid.uuid4(),
        connection_id=uuid.uuid4(),
        backend_config={"Site": "fake", "Resources": {"Quue": "x"}},
    )
    with pytest.raises(InvalidInput) as caught:
        await submit(yard, body)
    fields = {problem.field for problem in caught.value.problems}
    assert {"experimentRepositoryId", "codeRepositoryId", "connectionId"} < fields
    assert any(field.startswith("backendConfig.Resources") for field in fields)
    assert await count(yard) == 0


async def test_a_config_for_another_site_is_refused_with_both_names(yard: Yard) -> None:
    with pytest.raises(InvalidInput, match=r"for elsewhere.*for fake"):
        await submit(yard, yard.body(backend_config={"Site": "elsewhere", "Resources": {"Queue": "q"}}))


@pytest.mark.parametrize("path", ["../secret.yaml", "/etc/passwd"])
async def test_a_config_outside_of_the_repository_is_refused(yard: Yard, path: str) -> None:
    with pytest.raises(InvalidInput, match="inside the repository"):
        await submit(yard, yard.body(backend_config=path))


async def test_the_role_and_the_connection_are_ones_own(yard: Yard) -> None:
    world = World(yard.context)
    guest, researcher = await world.person("a guest"), await world.person("a researcher")
    async with yard.db.transaction() as session:
        for person, role in ((guest, "guest"), (researcher, "researcher")):
            session.add(Member(project_id=yard.project_id, user_id=person.id, role=role))
    stranger = await world.person("a stranger")
    with pytest.raises(Forbidden):
        await submit(yard, yard.body(), caller=guest.caller)
    with pytest.raises(NotFound):
        await submit(yard, yard.body(), caller=stranger.caller)
    with pytest.raises(InvalidInput, match="Another's cannot be used"):
        await submit(yard, yard.body(connection_id=yard.connection_id), caller=researcher.caller)
    with pytest.raises(InvalidInput, match="you have no connection"):
        await submit(yard, yard.body(), caller=researcher.caller)


async def test_with_several_connections_one_has_to_be_named(yard: Yard) -> None:
    async with yard.db.transaction() as session:
        site = await session.scalar(select(Site.id))
        values = {"provider": "Local", "auth_method": "None", "site_id": site}
        session.add(Connection(owner_id=yard.caller.user_id, name="second", **values))
    with pytest.raises(InvalidInput, match=r"connectionId: is required; yours: connection-\w+, second"):
        await submit(yard, yard.body())
    await submit(yard, yard.body(connection_id=yard.connection_id))


async def test_this_machine_is_for_its_admin(yard: Yard) -> None:
    async with yard.db.transaction() as session:
        await session.execute(update(Site).values(kind="local"))
    with pytest.raises(Forbidden, match="for its admin"):
        await submit(yard, yard.body())


# -- Idempotency-Key


async def test_the_same_key_and_body_answer_the_same_run(yard: Yard) -> None:
    first = await submit(yard, yard.body(), key="k")
    assert await submit(yard, yard.body(), key="k") == first
    assert (await submit(yard, yard.body(), key="other")).run_id != first.run_id
    assert (await submit(yard, yard.body())).run_id != first.run_id
    assert await count(yard) == 3


async def test_a_repeat_tells_the_state_of_today(yard: Yard) -> None:
    first = await submit(yard, yard.body(), key="k")
    async with yard.db.transaction() as session:
        await session.execute(update(Run).values(state="RUNNING"))
    again = await submit(yard, yard.body(), key="k")
    assert (again.run_id, again.state) == (first.run_id, "RUNNING")


async def test_a_repeat_is_answered_although_no_more_runs_are_taken(yard: Yard) -> None:
    first = await submit(yard, yard.body(), key="k", max_live_runs_per_user=1)
    assert (await submit(yard, yard.body(), key="k", max_live_runs_per_user=1)).run_id == first.run_id


async def test_the_same_key_with_another_body_is_a_conflict(yard: Yard) -> None:
    await submit(yard, yard.body(), key="k")
    with pytest.raises(Conflict, match="another request"):
        await submit(yard, yard.body(name="changed"), key="k")
    assert await count(yard) == 1


async def test_a_key_is_its_users_own_and_lasts_seven_days(yard: Yard) -> None:
    first = await submit(yard, yard.body(), key="k")
    clock.use(lambda: datetime.now(UTC) + timedelta(days=6))
    assert (await submit(yard, yard.body(), key="k")).run_id == first.run_id
    clock.use(lambda: datetime.now(UTC) + timedelta(days=8))
    assert (await submit(yard, yard.body(), key="k")).run_id != first.run_id


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_has_a_length(yard: Yard, key: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 200"):
        await submit(yard, yard.body(), key=key)


async def test_the_same_key_many_times_at_once_makes_one_run(yard: Yard, other: Database) -> None:
    calls = [submit(yard, yard.body(), key="k", db=db) for db in [yard.db, other] * 5]
    answers = await asyncio.gather(*calls)
    assert len({answer.run_id for answer in answers}) == 1
    assert await count(yard) == 1
    assert len(await yard.events(answers[0].run_id)) == 1


async def test_the_same_key_with_two_bodies_at_once_makes_one_run_and_a_conflict(yard: Yard, other: Database) -> None:
    bodies = [yard.body(name="one"), yard.body(name="two")]
    calls = [submit(yard, body, key="k", db=db) for body, db in zip(bodies, [yard.db, other], strict=True)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "SubmittedRun"]
    assert await count(yard) == 1


# -- limits


@pytest.mark.parametrize(
    ("limit", "who"), [("max_live_runs_per_user", "You have 2"), ("max_live_runs_per_project", "The project has 2")]
)
async def test_live_runs_are_limited_and_ended_ones_are_not(yard: Yard, limit: str, who: str) -> None:
    first, second = [await submit(yard, yard.body(), **{limit: 2}) for _ in range(2)]
    with pytest.raises(TooMany, match=who) as caught:
        await submit(yard, yard.body(), **{limit: 2})
    assert caught.value.status == 429
    async with yard.db.transaction() as session:
        ended = update(Run).where(Run.id == first.run_id).values(state=State.FINISHED)
        await session.execute(ended)
        await session.execute(update(Run).where(Run.id == second.run_id).values(origin="reported"))
    await submit(yard, yard.body(), **{limit: 1})


# -- previews


class Changing(Commands):
    """An entry point that another commit changed."""

    def __init__(self) -> None:
        super().__init__()
        self.suffix = ""

    async def command(self, *question: object, **more: object) -> EntryPointCommand:
        assert not more
        plain = await super().command(*question)  # type: ignore[arg-type]
        return replace(plain, command=plain.command + self.suffix)


class Shop:
    """Previews and submits them."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.projects = Changing()
        self.planner = replace(yard.context.planner, projects=self.projects)

    async def preview(self, body: SubmitRun) -> Preview:
        yard = self.yard
        doors = (yard.db, yard.context.settings, self.planner, yard.caller, yard.project_id)
        return await preview.preview(*doors, body)

    async def submit(
        self, body: SubmitRun, token: str, *, key: str | None = None, caller: Caller | None = None, **settings: int
    ) -> SubmittedRun:
        yard = self.yard
        given = yard.context.settings.model_copy(update=settings)
        doors = (yard.db, given, self.planner, caller or yard.caller, yard.project_id)
        asked = body.model_copy(update={"preview_token": token})
        return await preview.submit_previewed(*doors, asked, key=key)


@pytest.fixture
def shop(yard: Yard) -> Shop:
    return Shop(yard)


async def test_a_preview_submits_nothing_and_its_token_submits_just_that(yard: Yard, shop: Shop) -> None:
    body = yard.body("hello")
    shown = await shop.preview(body)
    assert await count(yard) == 0
    assert (shown.command, shown.script) == ("hello", "hello")
    answer = await shop.submit(body, shown.preview_token)
    assert answer.run_id == shown.run_id
    async with yard.db.reading() as session:
        manifest = await session.get_one(Manifest, shown.run_id)
    assert (manifest.script.decode(), manifest.script_sha256) == (shown.script, shown.script_sha256)
    assert (await yard.run(shown.run_id)).commit == shown.commit
    await yard.engine()
    run = await yard.until_quiet(shown.run_id)
    assert run.state == State.FINISHED
    assert yard.job(shown.run_id).attempt.script == shown.script.encode()


async def test_a_preview_is_submitted_once(yard: Yard, shop: Shop) -> None:
    body = yard.body()
    token = (await shop.preview(body)).preview_token
    await shop.submit(body, token)
    with pytest.raises(Conflict, match="was submitted before"):
        await shop.submit(body, token)
    assert await count(yard) == 1


async def test_a_preview_at_once_twice_makes_one_run(yard: Yard, shop: Shop) -> None:
    body = yard.body()
    token = (await shop.preview(body)).preview_token
    answers = await asyncio.gather(*(shop.submit(body, token) for _ in range(2)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "SubmittedRun"]


async def test_the_repeat_of_a_previewed_submit_is_answered_as_before(yard: Yard, shop: Shop) -> None:
    """Its answer got lost: the limit it filled and the age of the preview do not matter any more."""
    body = yard.body()
    token = (await shop.preview(body)).preview_token
    first = await shop.submit(body, token, key="k", max_live_runs_per_user=1)
    clock.use(lambda: datetime.now(UTC) + timedelta(hours=5))
    assert (await shop.submit(body, token, key="k", max_live_runs_per_user=1)).run_id == first.run_id
    assert await count(yard) == 1


async def test_another_request_than_the_previewed_one_is_a_conflict(yard: Yard, shop: Shop) -> None:
    token = (await shop.preview(yard.body())).preview_token
    with pytest.raises(Conflict, match="differs from the one that was previewed"):
        await shop.submit(yard.body(compute_budget_account="other"), token)


async def test_what_changed_since_is_named(yard: Yard, shop: Shop) -> None:
    body = yard.body()
    token = (await shop.preview(body)).preview_token
    shop.projects.suffix = " --changed"
    with pytest.raises(Conflict, match="Changed since the preview: the command of the entry point, the job script"):
        await shop.submit(body, token)
    assert await count(yard) == 0


async def test_another_connection_than_the_previewed_one_is_a_change(yard: Yard, shop: Shop) -> None:
    body = yard.body()
    token = (await shop.preview(body)).preview_token
    async with yard.db.transaction() as session:
        site = await session.scalar(select(Site.id))
        values = {"provider": "Local", "auth_method": "None", "site_id": site}
        await session.execute(update(Connection).values(retired_at=datetime.now(UTC)))
        session.add(Connection(owner_id=yard.caller.user_id, name="second", **values))
    with pytest.raises(Conflict, match="Changed since the preview: the connection"):
        await shop.submit(body, token)


async def test_a_token_is_its_users_own_and_does_not_last(yard: Yard, shop: Shop) -> None:
    body = yard.body()
    token = (await shop.preview(body)).preview_token
    somebody = await World(yard.context).person("somebody")
    async with yard.db.transaction() as session:
        session.add(Member(project_id=yard.project_id, user_id=somebody.id, role="owner"))
    for caller, given in ((somebody.caller, token), (yard.caller, token + "x"), (yard.caller, "")):
        with pytest.raises(InvalidInput, match="unknown or too old"):
            await shop.submit(body, given, caller=caller)
    clock.use(lambda: datetime.now(UTC) + timedelta(hours=2))
    with pytest.raises(InvalidInput, match="unknown or too old"):
        await shop.submit(body, token)


async def test_a_preview_of_what_cannot_run_says_why(yard: Yard, shop: Shop) -> None:
    with pytest.raises(InvalidInput, match="no branch 'gone'"):
        await shop.preview(yard.body(branch="gone"))
    await away(yard, {"uri": "https://127.0.0.1:9/a.git"})
    with pytest.raises(Unavailable, match="cannot be reached now"):
        await shop.preview(yard.body())


async def away(yard: Yard, values: Mapping[str, object]) -> None:
    from gateway.repositories.rows import CodeRepository

    async with yard.db.transaction() as session:
        await session.execute(update(CodeRepository).values(**values))


async def test_no_event_and_no_audit_stay_of_a_refused_run(yard: Yard) -> None:
    with pytest.raises(InvalidInput):
        await submit(yard, yard.body(backend_config={}))
    async with yard.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Event)) == 0
    assert "run.submit" not in [entry.action for entry in await World(yard.context).audit()]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_while_a_config_is_read_others_may_write(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slowly(data: object, *, name: str) -> LoadedConfig:
        began.set()
        assert go_on.wait(30)
        return parse_config_data(data, name=name)

    monkeypatch.setattr(intake, "parse_config_data", slowly)
    long = {"Environment": {"Variables": {f"NAME_{n}": "x" * 20 for n in range(200)}}}
    submitted = asyncio.create_task(submit(yard, yard.body(config=long)))
    assert await asyncio.to_thread(began.wait, 30)
    try:
        async with asyncio.timeout(5), yard.db.transaction() as session:
            await session.execute(update(Site).values(name="renamed"))
    finally:
        go_on.set()
        with pytest.raises(InvalidInput, match="The config is for fake, and the connection is for renamed"):
            await submitted


async def test_a_run_is_accepted_by_few_statements(yard: Yard) -> None:
    said: list[str] = []
    note = lambda _c, _cursor, statement, *_: said.append(statement)  # noqa: E731
    event.listen(yard.db.engine.sync_engine, "before_cursor_execute", note)
    await submit(yard, yard.body())
    begins = [one for one in said if one.startswith("BEGIN")]
    assert [one.split()[0] for one in said if one not in begins] == ["SELECT"] * 2 + ["INSERT"] * 3
