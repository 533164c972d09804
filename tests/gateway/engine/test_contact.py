"""Not knowing is a value: what the gateway shows while a site does not answer, and how a run goes on after it."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from backends.errors import AuthenticationFailed, ChallengeRequired, SiteUnavailable, SubmitUncertain
from backends.fake import FakeJob
from backends.reasons import Reason
from backends.spec import EvidenceSource, Outcome, Phase, Result
from gateway import clock
from gateway.runs import service
from gateway.runs.states import State
from tests.gateway.engine.yard import Yard

WHOLE_WAY = ["CREATED", "PREPARING", "SUBMITTING", "QUEUED", "RUNNING", "FINISHED"]
HOUR = 3600.0
DAYS = 24 * HOUR
AWAY = SiteUnavailable("The site does not answer.")
DONE = Outcome(Result.FINISHED, EvidenceSource.EXIT_FILE, exit_code=0, text="COMPLETED")


def end(yard: Yard, job: FakeJob, outcome: Outcome) -> None:
    """The site knows the job again, and its end."""
    yard.site.jobs[job.ref.id] = job
    yard.site.end(job, outcome)


@pytest.mark.parametrize("method", ["stage", "prepare", "start", "poll", "stat", "finish"])
async def test_a_site_that_is_away_delays_a_step_and_nothing_else(yard: Yard, method: str) -> None:
    yard.faults.always(method, AWAY)
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_condition(run_id, "LOST_CONTACT")
    before = await yard.way(run_id)
    calls = yard.faults.calls[method]

    async def tried_again() -> bool:
        return yard.faults.calls[method] > calls + 2

    await yard.until(tried_again, "tried again")
    assert await yard.way(run_id) == before
    assert (await yard.conditions(run_id))["LOST_CONTACT"] == "The site does not answer."
    yard.faults.always(method, None)
    await yard.until_quiet(run_id)
    assert (await yard.way(run_id))[-1] == "FINISHED"
    assert await yard.conditions(run_id) == {}
    assert len(yard.copies(run_id)) == 1


@pytest.mark.parametrize("method", ["prepare", "start", "poll", "finish"])
@pytest.mark.parametrize("error", [AuthenticationFailed("Wrong key."), ChallengeRequired("Give the code.")])
async def test_a_refused_login_waits_for_its_owner(yard: Yard, method: str, error: Exception) -> None:
    yard.faults.always(method, error)
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_condition(run_id, "NEEDS_LOGIN")
    assert "LOST_CONTACT" not in await yard.conditions(run_id)
    yard.faults.always(method, None)
    await yard.until_quiet(run_id)
    assert (await yard.run(run_id)).state == State.FINISHED
    assert await yard.conditions(run_id) == {}


async def test_a_job_that_is_missing_for_a_moment_goes_on(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    del yard.site.jobs[job.ref.id]
    await yard.until_condition(run_id, "JOB_MISSING")
    assert (await yard.run(run_id)).state == State.RUNNING
    yard.site.jobs[job.ref.id] = job
    await yard.until_condition(run_id, "JOB_MISSING", there=False)
    yard.go(run_id)
    await yard.until_quiet(run_id)
    assert await yard.way(run_id) == WHOLE_WAY
    assert yard.faults.calls["revoke"] == 0


async def test_evidence_that_comes_after_a_job_went_missing_decides(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    yard.site.lose(job)
    await yard.until_condition(run_id, "JOB_MISSING")
    end(yard, job, Outcome(Result.FAILED, EvidenceSource.SCHEDULER_DETAILS, Reason.OUT_OF_MEMORY, 1, None, "OOM"))
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason) == (State.FAILED, Reason.OUT_OF_MEMORY)


async def lost(yard: Yard, run_id: uuid.UUID, job: FakeJob) -> None:
    """The site forgets the job for longer than the grace time."""
    yard.site.lose(job)
    await yard.until_condition(run_id, "JOB_MISSING")
    assert (await yard.run(run_id)).state != State.FAILED
    await yard.age_conditions(HOUR)
    run = await yard.until_state(run_id, State.FAILED)
    assert run.reason == Reason.LOST
    await yard.until_condition(run_id, "COLLECTING", there=False)


async def test_a_job_that_vanished_in_the_queue_is_lost_and_can_never_run(yard: Yard) -> None:
    yard.site.hold = True
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_state(run_id, State.QUEUED)
    job = yard.job(run_id)
    await lost(yard, run_id, job)
    assert job.attempt.fences == ["revoked"]
    message = (await yard.run(run_id)).message
    assert message is not None
    assert "before it started" in message
    assert yard.faults.calls["start"] == 1


async def test_a_job_that_vanished_while_it_ran_is_lost(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await lost(yard, run_id, await yard.until_running(run_id))
    assert await yard.log(run_id) == b"waits\n"
    assert len(await yard.attempts(run_id)) == 1


async def test_a_job_that_vanished_with_its_directory_is_lost(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    yard.site.attempts.clear()
    await lost(yard, run_id, job)
    assert set(await yard.conditions(run_id)) == {"FILES_GONE"}


async def test_a_lost_run_that_is_found_running_goes_on(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    await lost(yard, run_id, job)
    yard.site.jobs[job.ref.id] = job
    run = await yard.until_state(run_id, State.RUNNING)
    assert (run.reason, run.message, run.ended_at) == (None, None, None)
    end(yard, job, DONE)
    await yard.until_quiet(run_id)
    assert await yard.way(run_id) == [*WHOLE_WAY[:-1], "FAILED", "RUNNING", "FINISHED"]


async def test_a_lost_run_whose_end_comes_to_light_is_finished_with_its_whole_log(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    await lost(yard, run_id, job)
    job.log("written late\n")
    end(yard, job, DONE)
    await yard.until_state(run_id, State.FINISHED)
    run = await yard.until_quiet(run_id)
    assert (run.reason, run.exit_code) == (None, 0)
    assert await yard.log(run_id) == b"waits\nwritten late\n"


async def test_a_lost_run_that_failed_keeps_its_state_and_gets_its_reason(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    await lost(yard, run_id, job)
    end(yard, job, Outcome(Result.FAILED, EvidenceSource.EXIT_FILE, Reason.EXIT_CODE, 4, None, "FAILED"))

    async def known() -> bool:
        return (await yard.run(run_id)).reason == Reason.EXIT_CODE

    await yard.until(known, "the reason")
    run = await yard.until_quiet(run_id)
    assert (run.state, run.exit_code) == (State.FAILED, 4)
    assert (await yard.way(run_id))[-2:] == ["RUNNING", "FAILED"]


async def test_a_lost_run_is_looked_for_for_14_days_only(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    await lost(yard, run_id, job)
    run = await yard.run(run_id)
    assert run.due_at is not None or run.lease_owner is not None, "looked for just now, or soon"
    clock.use(lambda: datetime.now(UTC) + timedelta(days=15))
    await yard.until_quiet(run_id)
    yard.site.jobs[job.ref.id] = job
    assert job.phase is Phase.RUNNING
    calls = yard.faults.calls["poll"]
    await yard.pass_time()
    assert (await yard.run(run_id)).due_at is None
    assert yard.faults.calls["poll"] == calls


@pytest.mark.parametrize("error", [AWAY, AuthenticationFailed("Wrong key.")])
async def test_a_followed_run_is_lost_when_its_site_was_out_of_reach_for_14_days(yard: Yard, error: Exception) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    yard.faults.always("poll", error)
    await yard.until_any_condition(run_id)
    await yard.age_conditions(13 * DAYS)
    await yard.pass_time()
    assert (await yard.run(run_id)).state == State.RUNNING
    await yard.age_conditions(14 * DAYS)
    run = await yard.until_state(run_id, State.FAILED)
    assert (run.reason, run.message) == (
        Reason.LOST,
        f"The site was out of reach for 14 days; how job {job.ref.id} ended is not known.",
    )
    assert yard.faults.calls["start"] == 1
    yard.faults.always("poll", None)
    await yard.until_state(run_id, State.RUNNING)
    yard.go(run_id)
    assert (await yard.until_quiet(run_id)).state == State.FINISHED


async def test_a_site_that_its_operator_paused_loses_no_run(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(run_id)
    await yard.pause_site()
    await yard.until_condition(run_id, "LOST_CONTACT")
    await yard.age_conditions(30 * DAYS)
    for _ in range(5):
        await yard.pass_time()
        await asyncio.sleep(0.05)
    assert (await yard.run(run_id)).state == State.RUNNING
    await yard.pause_site(paused=False)
    yard.go(run_id)
    assert (await yard.until_quiet(run_id)).state == State.FINISHED


@pytest.mark.parametrize(
    ("method", "reason"), [("prepare", Reason.PREPARE_FAILED), ("start", Reason.LOST), ("revoke", Reason.LOST)]
)
async def test_a_run_on_its_way_ends_when_its_site_was_out_of_reach_for_14_days(
    yard: Yard, method: str, reason: Reason
) -> None:
    if method == "revoke":
        yard.faults.add("start", SubmitUncertain("lost"), when="before")
    yard.faults.always(method, AWAY)
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_condition(run_id, "LOST_CONTACT")
    await yard.age_conditions(14 * DAYS)
    run = await yard.until_state(run_id, State.FAILED)
    assert run.reason == reason
    assert "14 days" in str(run.message)
    yard.faults.always(method, None)
    await yard.until_condition(run_id, "COLLECTING", there=False)
    assert yard.copies(run_id) == []


async def test_what_cannot_be_collected_in_14_days_is_told_and_given_up(yard: Yard) -> None:
    yard.faults.always("stat", AWAY)
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_condition(run_id, "LOST_CONTACT")
    await yard.age_conditions(14 * DAYS)
    run = await yard.until_quiet(run_id)
    assert run.state == State.FINISHED
    assert await yard.conditions(run_id) == {
        "OUTPUTS_INCOMPLETE": "The rest of the log and files was not collected: The site does not answer."
    }


async def test_a_run_is_deleted_though_its_site_is_away(yard: Yard) -> None:
    yard.faults.always("stat", AWAY)
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_condition(run_id, "LOST_CONTACT")
    await service.delete(yard.db, yard.caller, yard.project_id, run_id, cancel_live=False, site_directory=False)
    await yard.until_deleted(run_id)


async def test_a_directory_that_cannot_be_removed_in_14_days_does_not_hold_up_a_deletion(yard: Yard) -> None:
    yard.faults.always("remove", AWAY)
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_quiet(run_id)
    await service.delete(yard.db, yard.caller, yard.project_id, run_id, cancel_live=False, site_directory=True)
    calls = yard.faults.calls["remove"]

    async def tried() -> bool:
        return yard.faults.calls["remove"] > calls

    await yard.until(tried, "tried to remove")
    assert (await yard.run(run_id)).deleted_at is None
    clock.use(lambda: datetime.now(UTC) + timedelta(days=15))
    await yard.until_deleted(run_id)
    assert "Its directory on the site was not removed: The site does not answer." in [
        e.text for e in await yard.events(run_id, "site")
    ]


async def test_a_job_that_accounting_calls_live_is_waited_for_longer(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    yard.site.lose(job)
    yard.site.accounting[job.ref.id] = "RUNNING"
    await yard.until_condition(run_id, "JOB_MISSING")
    await yard.age_conditions(HOUR / 2)
    for _ in range(5):
        await yard.pass_time()
        await asyncio.sleep(0.05)
    assert (await yard.run(run_id)).state == State.RUNNING
    assert yard.faults.calls["revoke"] == 0
    await yard.age_conditions(2 * HOUR)
    assert (await yard.until_state(run_id, State.FAILED)).reason == Reason.LOST


async def test_a_lost_run_that_is_found_in_the_queue_waits_there(yard: Yard) -> None:
    yard.site.hold = True
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_state(run_id, State.QUEUED)
    job = yard.job(run_id)
    yard.faults.always("poll", AWAY)
    await yard.until_condition(run_id, "LOST_CONTACT")
    await yard.age_conditions(14 * DAYS)
    await yard.until_state(run_id, State.FAILED)
    yard.faults.always("poll", None)
    await yard.until_state(run_id, State.QUEUED)
    yard.site.begin(job)
    assert (await yard.until_quiet(run_id)).state == State.FINISHED


async def test_what_does_not_fit_the_database_stops_no_other_run(yard: Yard) -> None:
    bad, good = await yard.submit(yard.waiting()), await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(bad)
    await yard.until_running(good)
    end(yard, yard.job(bad), Outcome(Result.FAILED, EvidenceSource.EXIT_FILE, Reason.EXIT_CODE, 2**70, None, "FAILED"))
    yard.go(good)
    assert (await yard.until_quiet(good)).state == State.FINISHED
    assert (await yard.run(bad)).state == State.RUNNING
