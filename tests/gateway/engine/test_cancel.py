"""Cancel and delete, asked for in every state: CANCELLED only on evidence, and nothing is left behind."""

import asyncio
import uuid

import pytest
from sqlalchemy import func, select, update

from backends.errors import SiteUnavailable, SubmitUncertain
from backends.fake import FakeJob
from backends.reasons import Reason
from backends.spec import Phase
from gateway import clock
from gateway.engine.engine import LONG, _long
from gateway.errors import Conflict, NotFound
from gateway.logs.rows import LogChunk
from gateway.runs import service
from gateway.runs.rows import Run
from gateway.runs.states import State
from tests.gateway.engine.yard import Yard


async def cancel(yard: Yard, run_id: uuid.UUID) -> None:
    await service.cancel(yard.db, yard.caller, yard.project_id, run_id)


async def delete(yard: Yard, run_id: uuid.UUID, *, cancel_live: bool = False, site_directory: bool = False) -> None:
    wishes = {"cancel_live": cancel_live, "site_directory": site_directory}
    await service.delete(yard.db, yard.caller, yard.project_id, run_id, **wishes)


async def ends_cancelled(yard: Yard, run_id: uuid.UUID) -> None:
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason) == (State.CANCELLED, Reason.CANCELLED_BY_USER)
    assert await yard.conditions(run_id) == {}
    assert all(job.phase is Phase.ENDED for job in yard.copies(run_id))


async def test_before_anything_was_done(yard: Yard) -> None:
    run_id = await yard.submit()
    await cancel(yard, run_id)
    await yard.engine()
    await ends_cancelled(yard, run_id)
    assert yard.faults.calls["prepare"] == 0
    assert await yard.way(run_id) == ["CREATED", "CANCELLED"]


@pytest.mark.parametrize("method", ["stage", "prepare"])
async def test_while_it_is_prepared(yard: Yard, method: str) -> None:
    run_id = await yard.submit()
    events = yard.faults.hang(method, "after")
    await yard.engine()
    await events[0].wait()
    await cancel(yard, run_id)
    events[1].set()
    await ends_cancelled(yard, run_id)
    assert yard.copies(run_id) == []
    assert yard.site.attempts == {}, "its env must not stay"


async def test_while_it_is_submitted(yard: Yard) -> None:
    """The wish comes while `start` is under way: the job that came of it is ended."""
    run_id = await yard.submit(yard.waiting())
    events = yard.faults.hang("start", "after")
    await yard.engine()
    await events[0].wait()
    await cancel(yard, run_id)
    events[1].set()
    await ends_cancelled(yard, run_id)
    assert len(yard.copies(run_id)) == 1


async def test_after_an_uncertain_start_without_a_job(yard: Yard) -> None:
    run_id = await yard.submit()
    yard.faults.add("start", SubmitUncertain("lost"))
    events = yard.faults.hang("revoke", "before")
    await yard.engine()
    await events[0].wait()
    await cancel(yard, run_id)
    events[1].set()
    await ends_cancelled(yard, run_id)
    assert yard.copies(run_id) == []


async def test_after_an_uncertain_start_with_a_job(yard: Yard) -> None:
    """A gateway that died in `start` and a cancel meanwhile: the job is found by its tag and ended."""
    run_id = await yard.submit(yard.waiting())
    events = yard.faults.hang("start", "after")
    engine = await yard.engine()
    await events[0].wait()
    await yard.kill(engine)
    await cancel(yard, run_id)
    await yard.age_leases()
    await yard.engine()
    await ends_cancelled(yard, run_id)
    assert len(yard.copies(run_id)) == 1
    assert yard.faults.calls["start"] == 1


async def test_in_the_queue(yard: Yard) -> None:
    yard.site.hold = True
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_state(run_id, State.QUEUED)
    await cancel(yard, run_id)
    await ends_cancelled(yard, run_id)
    assert "STARTING" not in await yard.way(run_id)
    assert "RUNNING" not in await yard.way(run_id)


async def test_while_it_runs(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(run_id)
    gate = yard.faults.gates["cancel"] = asyncio.Event()
    await cancel(yard, run_id)
    await cancel(yard, run_id)
    gate.set()
    await ends_cancelled(yard, run_id)
    assert await yard.log(run_id) == b"waits\n"
    asked = await yard.events(run_id, "intent")
    assert [(e.text, e.actor_id) for e in asked] == [("Cancel requested.", yard.caller.user_id)]


async def test_a_job_that_finished_first_is_finished(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(run_id)
    events = yard.faults.hang("cancel", "before")
    await cancel(yard, run_id)
    await events[0].wait()
    yard.go(run_id)

    async def over() -> bool:
        return yard.job(run_id).phase is Phase.ENDED

    await yard.until(over, "the job ended")
    events[1].set()
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason) == (State.FINISHED, None)


async def test_a_code_of_the_program_is_its_own_end_although_a_cancel_is_asked_for(yard: Yard) -> None:
    async def fail(job: FakeJob) -> int:
        await job.files.wait_for("outputs/go")
        return 5

    run_id = await yard.submit(yard.program(fail))
    await yard.engine()
    await yard.until_running(run_id)
    events = yard.faults.hang("cancel", "before")
    await cancel(yard, run_id)
    await events[0].wait()
    yard.go(run_id)
    run = await yard.until_state(run_id, State.FAILED)
    assert (run.reason, run.exit_code) == (Reason.EXIT_CODE, 5)
    events[1].set()
    await yard.until_quiet(run_id)


async def test_a_job_cancelled_on_the_site_says_so(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    yard.site.cancel(await yard.until_running(run_id))
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason) == (State.CANCELLED, Reason.CANCELLED_ON_SITE)


async def test_a_run_that_has_ended_is_not_cancelled(yard: Yard) -> None:
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_quiet(run_id)
    with pytest.raises(Conflict, match="FINISHED"):
        await cancel(yard, run_id)
    assert (await yard.run(run_id)).state == State.FINISHED


async def test_an_ended_run_is_deleted_with_log_and_mlflow_run_and_its_directory_stays(yard: Yard) -> None:
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_quiet(run_id)
    (there,) = yard.mlflow.of(run_id)
    await delete(yard, run_id)
    run = await yard.until_deleted(run_id)
    assert run.due_at is None
    assert there.deleted
    assert list(yard.site.attempts) != []
    async with yard.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(LogChunk)) == 0
    assert [p for p in (yard.context.settings.data_dir / "blobs").rglob("*") if p.is_file()] == []
    with pytest.raises(NotFound):
        await service.get_run(yard.db, yard.caller, yard.project_id, run_id)
    assert [e.text for e in await yard.events(run_id, "intent")] == ["Delete requested.", "Deleted."]


async def test_the_directory_on_the_site_goes_when_asked(yard: Yard) -> None:
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_quiet(run_id)
    await delete(yard, run_id, site_directory=True)
    await yard.until_deleted(run_id)
    assert yard.site.attempts == {}
    assert str(run_id) not in yard.site.runs


async def test_a_live_run_is_deleted_only_with_its_cancel_and_after_its_end(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    with pytest.raises(Conflict, match="RUNNING"):
        await delete(yard, run_id)
    await delete(yard, run_id, cancel_live=True)
    run = await yard.until_deleted(run_id)
    assert (run.state, job.phase) == (State.CANCELLED, Phase.ENDED)


async def test_a_deletion_waits_for_mlflow(yard: Yard) -> None:
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_quiet(run_id)
    yard.mlflow.away = True
    await delete(yard, run_id)
    await yard.until_condition(run_id, "TRACKING_BEHIND")
    assert "LOST_CONTACT" not in await yard.conditions(run_id), "the site has nothing to do with it"
    assert (await yard.run(run_id)).deleted_at is None
    yard.mlflow.away = False
    await yard.until_deleted(run_id)
    assert yard.mlflow.of(run_id) == []


async def test_a_long_preparation_is_broken_off(yard: Yard) -> None:
    """Commands on a login node may take half an hour: a cancel does not wait for them."""
    run_id = await yard.submit()
    events = yard.faults.hang("prepare", "after")
    await yard.engine()
    await events[0].wait()
    await cancel(yard, run_id)
    await ends_cancelled(yard, run_id)
    assert yard.site.attempts == {}, "its env must not stay"


async def test_what_a_failed_preparation_left_is_removed(yard: Yard) -> None:
    """The site took the files and then could not be reached: no location is known, and the env must not stay."""
    yard.faults.add("prepare", SiteUnavailable("away"), when="after", times=1000)
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_condition(run_id, "LOST_CONTACT")
    await cancel(yard, run_id)
    await ends_cancelled(yard, run_id)
    assert yard.site.attempts == {}, "its env must not stay"


async def test_the_env_of_a_revoked_attempt_goes_when_the_next_has_ended(yard: Yard) -> None:
    yard.site.hold = True
    run_id = await yard.submit()
    yard.faults.add("start", SubmitUncertain("lost"), when="after")
    await yard.engine()
    await yard.until_state(run_id, State.QUEUED)
    assert len(yard.site.attempts) == 2
    yard.site.begin(yard.copies(run_id)[-1])
    await yard.until_quiet(run_id)
    assert [attempt.name for attempt in yard.site.attempts.values()] == ["2"]


async def test_a_cancel_is_not_behind_the_preparations_of_others(yard: Yard) -> None:
    """As many long steps as may be at once: another run is still cancelled."""
    running = await yard.submit(yard.waiting())
    await yard.engine(at_once=3, long_at_once=2)
    await yard.until_running(running)
    gate = yard.faults.gates["prepare"] = asyncio.Event()
    others = [await yard.submit() for _ in range(6)]

    async def as_many_as_may() -> bool:
        return yard.faults.calls["prepare"] == 1 + 2

    await yard.until(as_many_as_may, "long steps")
    await cancel(yard, running)
    assert (await yard.until_state(running, State.CANCELLED)).reason == Reason.CANCELLED_BY_USER
    assert yard.faults.calls["prepare"] == 1 + 2
    gate.set()
    await ends_cancelled(yard, running)
    for run_id in others:
        assert (await yard.until_quiet(run_id)).state == State.FINISHED


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("origin", ["submitted", "reported"])
@pytest.mark.parametrize("wish", [None, "cancel_requested_at", "delete_requested_at"])
async def test_a_long_step_is_one_for_the_engine_and_for_the_database_alike(
    yard: Yard, state: State, origin: str, wish: str | None
) -> None:
    run_id = await yard.submit()
    values: dict[str, object] = {"state": state, "origin": origin} | ({wish: clock.now()} if wish else {})
    async with yard.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == run_id).values(**values))
        told = await session.scalar(select(LONG).where(Run.id == run_id))
    assert bool(told) is _long(await yard.run(run_id))
