"""Two gateways on one database: one stops in the middle of a step, the other goes on. One start per attempt."""

import asyncio
import uuid
from collections import Counter

import pytest

from backends.errors import SiteUnavailable, SubmitUncertain
from backends.fake import FakeJob
from backends.fake.faults import When
from gateway.engine.engine import Engine
from gateway.runs import service
from gateway.runs.states import State
from tests.gateway.engine.yard import Yard

pytestmark = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
WAY = ["CREATED", "PREPARING", "SUBMITTING", "QUEUED", "FINISHED"]
STEPS = ["stage", "prepare", "start", "poll", "stat", "read", "finish"]
EACH = pytest.mark.parametrize("when", ["before", "after"])


async def marks(job: FakeJob) -> int:
    """The code of the run: says that it began, and where."""
    job.files.append("outputs/starts", b"once\n")
    job.log("first line\n")
    await asyncio.sleep(0)
    job.log("last line\n")
    return 0


async def ran_once(yard: Yard, run_id: uuid.UUID) -> None:
    await yard.until_quiet(run_id)
    # A look may come too late to see it run.
    assert [state for state in await yard.way(run_id) if state != "RUNNING"] == WAY
    assert len(yard.copies(run_id)) == 1
    assert [a.n for a in await yard.attempts(run_id)] == [1]
    assert len(await yard.jobs(run_id)) == 1
    assert yard.site.runs[str(run_id)].contents["outputs/starts"] == b"once\n"
    assert await yard.log(run_id) == b"first line\nlast line\n"
    assert len(yard.mlflow.of(run_id)) == 1
    assert await yard.conditions(run_id) == {}


@EACH
@pytest.mark.parametrize("method", STEPS)
async def test_another_goes_on_where_a_killed_one_stopped(yard: Yard, method: str, when: When) -> None:
    run_id = await yard.submit(yard.program(marks))
    hanging = yard.faults.hang(method, when)
    first = await yard.engine()
    await hanging[0].wait()
    await yard.kill(first)
    await yard.age_leases()
    await yard.engine()
    await ran_once(yard, run_id)


async def only_its_answer_is_left(engine: Engine) -> None:
    """It claims and renews no more, as one that was cut off from the database for a while."""
    for loop in engine._loops:
        loop.cancel()
    await asyncio.gather(*engine._loops, return_exceptions=True)


async def all_of(yard: Yard, run_id: uuid.UUID) -> tuple[object, ...]:
    """Everything that the gateway knows of a run."""
    run = await yard.run(run_id)
    columns = {c.key: getattr(run, c.key) for c in run.__table__.columns}
    events = [(e.kind, e.text) for e in await yard.events(run_id)]
    jobs = [(j.site_job_id, j.current, j.site_state) for j in await yard.jobs(run_id)]
    attempts = [(a.n, a.location, a.revoked_at) for a in await yard.attempts(run_id)]
    return columns, events, jobs, attempts, await yard.conditions(run_id), await yard.log(run_id)


@EACH
@pytest.mark.parametrize("method", STEPS)
async def test_a_late_answer_of_the_first_changes_nothing(yard: Yard, method: str, when: When) -> None:
    run_id = await yard.submit(yard.program(marks))
    hanging = yard.faults.hang(method, when)
    first = await yard.engine()
    await hanging[0].wait()
    await only_its_answer_is_left(first)
    await yard.age_leases()
    await yard.engine()
    await ran_once(yard, run_id)
    before = await all_of(yard, run_id)
    hanging[1].set()
    await asyncio.wait_for(asyncio.gather(*first._work), 10)
    assert await all_of(yard, run_id) == before


@pytest.mark.parametrize("error", [SubmitUncertain("lost"), SiteUnavailable("away")])
async def test_a_late_fault_of_start_does_not_revoke_what_the_other_follows(yard: Yard, error: Exception) -> None:
    yard.site.hold = True
    run_id = await yard.submit(yard.program(marks))
    yard.faults.add("start", error, when="after")
    hanging = yard.faults.hang("start", "after")
    first = await yard.engine()
    await hanging[0].wait()
    await only_its_answer_is_left(first)
    await yard.age_leases()
    await yard.engine()
    await yard.until_state(run_id, State.QUEUED)
    hanging[1].set()
    await asyncio.wait_for(asyncio.gather(*first._work), 10)
    assert yard.faults.calls["revoke"] == 0
    assert await yard.conditions(run_id) == {}
    yard.site.begin(yard.job(run_id))
    await ran_once(yard, run_id)


@EACH
@pytest.mark.parametrize("method", ["revoke", "find", "cancel"])
async def test_a_kill_while_an_uncertain_start_is_cleared_up(yard: Yard, method: str, when: When) -> None:
    """The job waits in the queue when its fence is seized: the next attempt runs, and it alone."""
    yard.site.hold = True
    run_id = await yard.submit(yard.program(marks))
    yard.faults.add("start", SubmitUncertain("lost"), when="after")
    hanging = yard.faults.hang(method, when)
    first = await yard.engine()
    await hanging[0].wait()
    await yard.kill(first)
    await yard.age_leases()
    yard.site.hold = False
    await yard.engine()
    for job in yard.copies(run_id):
        yard.site.begin(job)
    run = await yard.until_quiet(run_id)
    assert run.state == State.FINISHED
    assert yard.site.runs[str(run_id)].contents["outputs/starts"] == b"once\n"
    per_attempt = Counter(job.ref.handle.tag for job in yard.copies(run_id))
    assert set(per_attempt.values()) == {1}, "one start per attempt"


@EACH
async def test_a_kill_while_a_cancel_is_passed_on(yard: Yard, when: When) -> None:
    run_id = await yard.submit(yard.waiting())
    first = await yard.engine()
    await yard.until_running(run_id)
    hanging = yard.faults.hang("cancel", when)
    await service.cancel(yard.db, yard.caller, yard.project_id, run_id)
    await hanging[0].wait()
    await yard.kill(first)
    await yard.age_leases()
    await yard.engine()
    run = await yard.until_quiet(run_id)
    assert run.state == State.CANCELLED
    assert len(yard.copies(run_id)) == 1


@EACH
async def test_a_kill_while_a_directory_is_deleted(yard: Yard, when: When) -> None:
    run_id = await yard.submit()
    first = await yard.engine()
    await yard.until_quiet(run_id)
    hanging = yard.faults.hang("remove", when)
    wishes = {"cancel_live": False, "site_directory": True}
    await service.delete(yard.db, yard.caller, yard.project_id, run_id, **wishes)
    await hanging[0].wait()
    await yard.kill(first)
    await yard.age_leases()
    await yard.engine()
    await yard.until_deleted(run_id)
    assert yard.site.attempts == {}
    assert [e.text for e in await yard.events(run_id, "intent")] == ["Delete requested.", "Deleted."]


async def test_many_runs_over_two_engines_start_once_each(yard: Yard) -> None:
    command = yard.program(marks)
    run_ids = [await yard.submit(command) for _ in range(12)]
    await yard.engine()
    await yard.engine()
    for run_id in run_ids:
        await ran_once(yard, run_id)
    assert yard.faults.calls["start"] == len(run_ids)
