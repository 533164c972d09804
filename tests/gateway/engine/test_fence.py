"""Exactly once: what the gateway does when it does not know whether a job was submitted, and what the fence says."""

from backends.errors import InvalidJob, SiteUnavailable, SubmitUncertain
from backends.fake import FakeJob
from backends.reasons import Reason
from backends.spec import Phase
from gateway.runs.states import State
from tests.gateway.engine.yard import Yard

ONCE = ["CREATED", "PREPARING", "SUBMITTING"]
UNCERTAIN = SubmitUncertain("The answer got lost.")


async def test_an_uncertain_start_that_did_nothing_gives_one_more_attempt(yard: Yard) -> None:
    yard.faults.add("start", UNCERTAIN)
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(run_id)
    first, second = await yard.attempts(run_id)
    assert first.revoked_at is not None
    assert second.revoked_at is None
    assert yard.job(run_id).ref.handle.tag == second.tag
    assert await yard.way(run_id) == [*ONCE, *ONCE[1:], "QUEUED", "RUNNING"]
    yard.go(run_id)
    await yard.until_quiet(run_id)
    assert await yard.conditions(run_id) == {}
    assert yard.faults.calls["start"] == 2


async def test_an_uncertain_start_whose_job_runs_is_followed(yard: Yard) -> None:
    yard.faults.add("start", UNCERTAIN, when="after")
    run_id = await yard.submit(yard.waiting())
    engine = await yard.engine(start=False)
    started = yard.faults.hang("revoke", "before")
    await engine.start()
    await started[0].wait()
    started[1].set()
    await yard.until_running(run_id)
    assert len(await yard.attempts(run_id)) == 1
    (job,) = await yard.jobs(run_id)
    assert job.site_job_id == yard.job(run_id).ref.id
    assert await yard.conditions(run_id) == {}


async def test_an_uncertain_start_whose_job_waits_is_revoked_and_taken_out_of_the_queue(yard: Yard) -> None:
    yard.site.hold = True
    yard.faults.add("start", UNCERTAIN, when="after")
    run_id = await yard.submit(yard.waiting())
    await yard.engine()

    async def two() -> bool:
        return len(yard.copies(run_id)) == 2

    await yard.until(two, "a second attempt")
    first, second = yard.copies(run_id)
    await yard.until_state(run_id, State.QUEUED)
    assert first.phase is Phase.ENDED, "cancelled"
    yard.site.begin(second)
    assert await yard.until_running(run_id) is second
    yard.go(run_id)
    assert (await yard.until_quiet(run_id)).state == State.FINISHED


async def test_a_directory_that_is_gone_is_lost_and_never_submitted_again(yard: Yard) -> None:
    run_id = await yard.submit()
    engine = await yard.engine(start=False)
    events = yard.faults.hang("start", "before")
    await engine.start()
    await events[0].wait()
    yard.site.attempts.clear()
    events[1].set()
    run = await yard.until_state(run_id, State.FAILED)
    assert run.reason == Reason.LOST
    await yard.until_quiet(run_id)
    assert yard.copies(run_id) == []
    assert yard.faults.calls["start"] == 1


async def test_a_duplicate_made_by_the_site_gives_way_to_the_first_copy(yard: Yard) -> None:
    """The site copies the job before it starts; the copy passes the fence, and the job we know ends as a duplicate."""
    yard.site.hold = True
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_state(run_id, State.QUEUED)
    known = yard.job(run_id)
    other = yard.site.submit(known.ref.handle)
    yard.site.begin(other)

    async def followed() -> bool:
        return [j.site_job_id for j in await yard.jobs(run_id) if j.current] == [other.ref.id]

    yard.site.begin(known)
    await yard.until(followed, "the copy is followed")
    await yard.until_state(run_id, State.RUNNING)
    yard.go(run_id)
    run = await yard.until_quiet(run_id)
    assert (run.state, run.exit_code) == (State.FINISHED, 0)
    assert await yard.log(run_id) == b"waits\n"
    told = [e.evidence for e in await yard.events(run_id, "site")]
    assert {"duplicate": known.ref.id, "fence": other.ref.id} in told


async def test_a_known_job_that_vanishes_behind_its_copy_is_not_lost(yard: Yard) -> None:
    yard.site.hold = True
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_state(run_id, State.QUEUED)
    known = yard.job(run_id)
    other = yard.site.submit(known.ref.handle)
    yard.site.lose(known)
    yard.site.begin(other)
    await yard.until_state(run_id, State.RUNNING)
    yard.go(run_id)
    assert (await yard.until_quiet(run_id)).state == State.FINISHED
    assert [j.site_job_id for j in await yard.jobs(run_id) if j.current] == [other.ref.id]


async def test_the_token_of_a_revoked_attempt_is_another_one(yard: Yard) -> None:
    """What a revoked copy might still hold speaks for nobody."""
    tokens: list[str] = []

    async def tell(job: FakeJob) -> int:
        tokens.append(job.environment["MLFLOW_TRACKING_TOKEN"])
        return 0

    yard.faults.add("start", UNCERTAIN)
    run_id = await yard.submit(yard.program(tell))
    events = yard.faults.hang("revoke", "before")
    await yard.engine()
    await events[0].wait()
    (attempt,) = yard.site.attempts.values()
    assert attempt.environment is not None
    tokens.append(attempt.environment["MLFLOW_TRACKING_TOKEN"])
    events[1].set()
    await yard.until_quiet(run_id)
    assert len(set(tokens)) == 2


REFUSED = InvalidJob("The site could not submit the job.", reason=Reason.REFUSED_BY_SITE)


async def test_a_refusal_after_a_lost_reply_follows_the_job_that_runs(yard: Yard) -> None:
    yard.faults.add("start", SiteUnavailable("reply lost"), when="after")
    yard.faults.add("start", REFUSED)
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(run_id)
    (job,) = await yard.jobs(run_id)
    assert job.site_job_id == yard.job(run_id).ref.id
    yard.go(run_id)
    assert (await yard.until_quiet(run_id)).state == State.FINISHED


async def test_a_refusal_after_a_lost_reply_leaves_no_waiting_job_behind(yard: Yard) -> None:
    yard.site.hold = True
    yard.faults.add("start", SiteUnavailable("reply lost"), when="after")
    yard.faults.add("start", REFUSED)
    run_id = await yard.submit()
    await yard.engine()
    run = await yard.until_state(run_id, State.FAILED)
    await yard.until_quiet(run_id)
    assert run.reason == Reason.REFUSED_BY_SITE
    assert [copy.phase for copy in yard.copies(run_id)] == [Phase.ENDED], "cancelled, and its fence is seized"
