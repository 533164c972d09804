"""Listing and showing runs: pages that new runs do not shift, filters, and what a public project does not tell."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from gateway import clock
from gateway.context import Context
from gateway.errors import Forbidden, InvalidInput, NotFound
from gateway.projects.rows import Member, Project
from gateway.runs import service
from gateway.runs.moves import Move, move, set_condition
from gateway.runs.rows import Attempt, Job, Manifest, Run
from gateway.runs.service import Filter
from gateway.runs.states import ConditionName, State
from gateway.users.caller import Caller
from tests.gateway.world import Place, World

START = datetime(2026, 3, 1, tzinfo=UTC)


class Shelf:
    """Runs of one project."""

    def __init__(self, world: World, place: Place, caller: Caller) -> None:
        self.world, self.place, self.caller = world, place, caller
        self.db = world.context.db
        self.project_id = uuid.UUID(place.ids["projectId"])

    async def add(self, *, minute: int, **values: object) -> uuid.UUID:
        run_id = uuid.UUID((await self.world.run(self.place)).ids["runId"])
        async with self.db.transaction() as session:
            at = {"created_at": START + timedelta(minutes=minute), "name": f"run {minute}"}
            await session.execute(update(Run).where(Run.id == run_id).values(**{**at, **values}))
        return run_id

    async def page(
        self, cursor: str | None = None, limit: int = 3, chosen: Filter | None = None
    ) -> tuple[list[uuid.UUID], str | None]:
        page = await service.list_runs(self.db, self.caller, self.project_id, chosen or Filter(), cursor, limit)
        return [view.run_id for view in page.items], page.next_cursor

    async def all(self, chosen: Filter | None = None, limit: int = 2) -> list[uuid.UUID]:
        found, cursor = await self.page(None, limit, chosen)
        while cursor is not None:
            more, cursor = await self.page(cursor, limit, chosen)
            assert more, "no empty page follows"
            found += more
        return found


@pytest.fixture
async def shelf(context: Context) -> Shelf:
    world = World(context)
    place = await world.place()
    return Shelf(world, place, (await world.person("owner")).caller)


async def test_pages_hold_all_newest_first(shelf: Shelf) -> None:
    made = [await shelf.add(minute=n) for n in range(7)]
    assert await shelf.all() == made[::-1]
    assert await shelf.all(limit=7) == made[::-1], "a page that is just full has no next"


async def test_runs_of_the_same_instant_are_told_once_each(shelf: Shelf) -> None:
    made = [await shelf.add(minute=0) for _ in range(5)]
    assert sorted(await shelf.all()) == sorted(made)


async def test_a_page_does_not_shift_when_runs_come_and_go(shelf: Shelf) -> None:
    made = [await shelf.add(minute=n) for n in range(6)]
    first, cursor = await shelf.page()
    await shelf.add(minute=99)
    async with shelf.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == first[-1]).values(deleted_at=START))
    second, last = await shelf.page(cursor)
    assert (second, last) == (made[2::-1], None), "although the run that the cursor names is deleted"


@pytest.mark.parametrize("cursor", ["x", "e30", "bnVsbA", "WyIyMDI2IiwgImEiXQ", "W10", "ü", "=" * 5])
async def test_what_is_no_cursor_is_refused(shelf: Shelf, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await shelf.page(cursor)


async def test_filters_choose_and_combine(shelf: Shelf) -> None:
    other = await shelf.world.person("maintainer")
    one = await shelf.add(minute=1, name="50% done_a", state="FINISHED")
    two = await shelf.add(minute=2, name="Training", state="RUNNING", created_by=other.id)
    three = await shelf.add(minute=3, name="training", state="FAILED", origin="reported")
    gone = await shelf.add(minute=4, name="training", deleted_at=START)
    experiment = uuid.UUID(shelf.place.ids["experimentRepositoryId"])
    for chosen, expected in (
        (Filter(), [three, two, one]),
        (Filter(states=(State.FINISHED, State.FAILED)), [three, one]),
        (Filter(text="TRAIN"), [three, two]),
        (Filter(text="%"), [one]),
        (Filter(text="_a"), [one]),
        (Filter(created_by=other.id), [two]),
        (Filter(origin="reported"), [three]),
        (Filter(experiment_repository_id=experiment), [three, two, one]),
        (Filter(experiment_repository_id=uuid.uuid4()), []),
        (Filter(text="train", states=(State.RUNNING,)), [two]),
    ):
        assert await shelf.all(chosen) == expected, chosen
    assert gone not in await shelf.all()


async def test_another_projects_runs_are_not_there(shelf: Shelf) -> None:
    run_id = await shelf.add(minute=1)
    async with shelf.db.transaction() as session:
        elsewhere = Project(name="elsewhere", created_by=shelf.caller.user_id)
        session.add(elsewhere)
        await session.flush()
        session.add(Member(project_id=elsewhere.id, user_id=shelf.caller.user_id, role="owner"))
    with pytest.raises(NotFound, match="no such run"):
        await service.get_run(shelf.db, shelf.caller, elsewhere.id, run_id)
    with pytest.raises(NotFound, match="no such run"):
        await service.get_run(shelf.db, shelf.caller, shelf.project_id, uuid.uuid4())


async def full(shelf: Shelf) -> uuid.UUID:
    """A run that has everything there is to tell."""
    run_id = await shelf.add(minute=1, message="It runs at login.example.org.", compute_budget_account="acct-7")
    async with shelf.db.transaction() as session:
        attempt = Attempt(run_id=run_id, n=1, tag="t", location="/scratch/alice/run/1")
        session.add(attempt)
        await session.flush()
        session.add(Job(attempt_id=attempt.id, run_id=run_id, site_job_id="4711", account="acct-7", nodes="node[1-2]"))
        session.add(
            Manifest(
                run_id=run_id,
                created_at=START,
                commit="c" * 40,
                config={"Site": "login.example.org"},
                command="python train.py",
                project_path=".",
                script=b"#SBATCH --account=acct-7",
                script_sha256="0" * 64,
                code_sha256="1" * 64,
                code_size=1,
                submit_command=["sbatch", "--account=acct-7"],
                login_commands_before=[],
                login_commands_after=[],
                warnings=["acct-7 is nearly used up"],
            )
        )
        values = {"parameters": {"alpha": 1}, "backend_config": {"path": "login.example.org.yaml"}}
        await session.execute(update(Run).where(Run.id == run_id).values(**values))
        await set_condition(session, run_id, ConditionName.LOST_CONTACT, "login.example.org does not answer")
    return run_id


HIDDEN = ("login.example.org", "acct-7", "4711", "node[1-2]", "alice", "site-", "#SBATCH")


async def public(shelf: Shelf, *, details: bool) -> Caller:
    """The project is public; somebody who is no member."""
    async with shelf.db.transaction() as session:
        await session.execute(update(Project).values(public=True, public_details=details))
    return (await shelf.world.person("stranger")).caller


async def test_a_stranger_sees_a_public_run_without_hosts_accounts_and_logs(shelf: Shelf) -> None:
    run_id = await full(shelf)
    stranger = await public(shelf, details=False)
    doors = (shelf.db, stranger, shelf.project_id)
    (listed,) = (await service.list_runs(*doors, Filter(), None, 10)).items
    shown = await service.get_run(*doors, run_id)
    for text in (listed.model_dump_json(), shown.model_dump_json()):
        assert [word for word in HIDDEN if word in text] == []
    assert (shown.mlflow_parameters, shown.name) == ({"alpha": 1}, "run 1")
    with pytest.raises(Forbidden):
        await service.list_events(*doors, run_id, 0, 10)
    with pytest.raises(Forbidden):
        await service.may_read_log(*doors, run_id)


async def test_the_second_switch_and_membership_show_all(shelf: Shelf) -> None:
    run_id = await full(shelf)
    stranger = await public(shelf, details=True)
    for caller in (stranger, shelf.caller):
        shown = (await service.get_run(shelf.db, caller, shelf.project_id, run_id)).model_dump_json()
        assert [word for word in HIDDEN if word not in shown] == []
        assert await service.list_events(shelf.db, caller, shelf.project_id, run_id, 0, 10)
        assert await service.may_read_log(shelf.db, caller, shelf.project_id, run_id) == "RUNNING"


async def test_a_private_project_is_not_there_for_a_stranger(shelf: Shelf) -> None:
    run_id = await shelf.add(minute=1)
    stranger = (await shelf.world.person("stranger")).caller
    for ask in (service.get_run, service.cancel):
        with pytest.raises(NotFound):
            await ask(shelf.db, stranger, shelf.project_id, run_id)


async def test_a_run_token_sees_its_own_run_only(shelf: Shelf) -> None:
    own, other = [await shelf.add(minute=n) for n in range(2)]
    token = Caller(shelf.caller.user_id, "owner", run_id=own, project_id=shelf.project_id)
    assert (await service.get_run(shelf.db, token, shelf.project_id, own)).run_id == own
    with pytest.raises(NotFound):
        await service.get_run(shelf.db, token, shelf.project_id, other)
    for run_id in (own, other):
        with pytest.raises((Forbidden, NotFound)):
            await service.cancel(shelf.db, token, shelf.project_id, run_id)


async def test_ones_own_runs_from_researcher_on_and_all_from_maintainer_on(shelf: Shelf) -> None:
    run_id = await shelf.add(minute=1)
    people = {role: (await shelf.world.person(role)).caller for role in ("maintainer", "researcher", "reporter")}
    for role in ("researcher", "reporter"):
        with pytest.raises(Forbidden):
            await service.cancel(shelf.db, people[role], shelf.project_id, run_id)
    assert (await service.get_run(shelf.db, shelf.caller, shelf.project_id, run_id)).cancel_requested_at is None
    view = await service.cancel(shelf.db, people["maintainer"], shelf.project_id, run_id)
    assert view.cancel_requested_at is not None
    assert view.state == "RUNNING", "only evidence ends it"


async def test_a_run_shows_how_long_it_was_in_each_state(shelf: Shelf) -> None:
    clock.use(lambda: START)
    run_id = await shelf.add(minute=0, state="CREATED")
    for minutes, to in ((1, State.PREPARING), (3, State.SUBMITTING), (7, State.QUEUED), (15, State.FINISHED)):
        clock.use(lambda minutes=minutes: START + timedelta(minutes=minutes))
        async with shelf.db.transaction() as session:
            run = await session.get_one(Run, run_id)
            assert await move(session, run, Move(to, "x", {}))
    clock.use(lambda: START + timedelta(hours=9))
    shown = await service.get_run(shelf.db, shelf.caller, shelf.project_id, run_id)
    lengths = [(phase.state, phase.seconds) for phase in shown.phases]
    assert lengths == [("CREATED", 60), ("PREPARING", 120), ("SUBMITTING", 240), ("QUEUED", 480), ("FINISHED", 0)]
    assert shown.status == "FINISHED"


async def test_events_are_told_in_pages_from_any_of_them(shelf: Shelf) -> None:
    run_id = await shelf.add(minute=0)
    async with shelf.db.transaction() as session:
        for name in ConditionName:
            await set_condition(session, run_id, name, "x")
    doors = (shelf.db, shelf.caller, shelf.project_id, run_id)
    whole = await service.list_events(*doors, 0, 100)
    told, after = [], 0
    while batch := await service.list_events(*doors, after, 2):
        told += batch
        after = batch[-1].event_id
    assert told == whole
    assert len(told) == len(ConditionName) + 1
