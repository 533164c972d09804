"""A run on its whole way, and the ends it can come to."""

import pytest

from backends.errors import InvalidJob, SiteUnavailable
from backends.fake import FakeJob, Killed
from backends.fake.backend import FakeBackend
from backends.reasons import Reason
from backends.spec import Handle, JobSpec
from gateway.runs.states import State
from tests.gateway.engine.yard import Yard

WHOLE_WAY = ["CREATED", "PREPARING", "SUBMITTING", "QUEUED", "RUNNING", "FINISHED"]


async def test_a_run_goes_from_created_to_finished(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(run_id)
    yard.go(run_id)
    run = await yard.until_quiet(run_id)
    assert await yard.way(run_id) == WHOLE_WAY
    assert (run.state, run.reason, run.exit_code) == (State.FINISHED, None, 0)
    assert run.commit is not None
    assert len(run.commit) == 40
    assert await yard.log(run_id) == b"waits\n"
    assert await yard.conditions(run_id) == {}
    assert yard.site.faults.calls["finish"] == 1


async def test_a_run_tells_its_times_account_and_restarts(yard: Yard) -> None:
    yard.site.hold = True
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    run = await yard.until_state(run_id, State.QUEUED)
    job = yard.job(run_id)
    job.pending_reason, job.account = "Priority", "acct"
    await yard.until_condition(run_id, "PENDING_REASON")
    assert (await yard.conditions(run_id))["PENDING_REASON"] == "Priority"
    job.pending_reason = ""
    yard.site.begin(job)
    await yard.until_running(run_id)
    yard.site.requeue(job)
    await yard.until_state(run_id, State.QUEUED)
    assert await yard.conditions(run_id) == {}
    yard.site.begin(job)
    await yard.until_running(run_id)
    yard.go(run_id)
    run = await yard.until_quiet(run_id)
    assert await yard.way(run_id) == [*WHOLE_WAY[:-1], "QUEUED", "RUNNING", "FINISHED"]
    (kept,) = await yard.jobs(run_id)
    assert (kept.restarts, kept.account) == (1, "acct")
    assert [e.text for e in await yard.events(run_id, "site")] == ["The site started the job anew, restart 1."]
    times = [run.prepared_at, run.submitted_at, run.queued_at, run.started_at, run.ended_at]
    assert None not in times


async def test_the_code_of_a_failed_command_is_kept(yard: Yard) -> None:
    async def fail(job: FakeJob) -> int:
        job.log("no such file\n")
        return 3

    run_id = await yard.submit(yard.program(fail))
    await yard.engine()
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason, run.exit_code) == (State.FAILED, Reason.EXIT_CODE, 3)
    assert run.message == "The command ended with code 3; the log says why."
    assert await yard.log(run_id) == b"no such file\n"


async def test_a_signal_nobody_asked_for_is_a_failure(yard: Yard) -> None:
    async def die(job: FakeJob) -> int:
        raise Killed(9)

    run_id = await yard.submit(yard.program(die))
    await yard.engine()
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason, run.exit_code) == (State.FAILED, Reason.EXIT_CODE, 137)


async def test_what_the_site_refuses_at_prepare_fails_with_its_words(yard: Yard) -> None:
    async def no_space(job: FakeJob) -> int:
        return 7

    command = yard.program(no_space)
    config = {"Environment": {"PreRunCommandOnLoginNode": [command]}}
    run_id = await yard.submit(config=config)
    await yard.engine()
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason) == (State.FAILED, Reason.PREPARE_FAILED)
    assert run.message == f"{command} ended with code 7"
    assert yard.copies(run_id) == []
    assert await yard.conditions(run_id) == {}


async def test_what_the_site_refuses_at_start_fails_with_its_words(yard: Yard) -> None:
    yard.faults.add("start", InvalidJob("The site refused it.", reason=Reason.BUDGET_REFUSED, text="no such account"))
    run_id = await yard.submit()
    await yard.engine()
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason, run.message) == (State.FAILED, Reason.BUDGET_REFUSED, "The site refused it.")
    assert (await yard.events(run_id, "state"))[-1].evidence == {"site": "no such account"}
    assert yard.site.attempts == {}, "its env must not stay"


async def test_a_branch_that_is_not_there_fails_and_sends_nothing(yard: Yard) -> None:
    run_id = await yard.submit(branch="mian")
    await yard.engine()
    run = await yard.until_quiet(run_id)
    assert (run.state, run.reason) == (State.FAILED, Reason.CODE_NOT_FOUND)
    assert run.message is not None
    assert "'mian'" in run.message
    assert "main" in run.message
    assert yard.faults.calls["prepare"] == 0


async def test_commands_after_the_run_that_fail_do_not_change_its_outcome(yard: Yard) -> None:
    async def fail(job: FakeJob) -> int:
        return 1

    command = yard.program(fail)
    run_id = await yard.submit(config={"Environment": {"PostRunCommandOnLoginNode": [command]}})
    await yard.engine()
    run = await yard.until_quiet(run_id)
    assert run.state == State.FINISHED
    assert await yard.conditions(run_id) == {"POST_RUN_FAILED": f"{command} ended with code 1"}


async def test_a_directory_that_is_gone_after_the_end_is_said(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(run_id)
    events = yard.faults.hang("stat", "before")
    yard.go(run_id)
    await events[0].wait()
    yard.site.attempts.clear()
    events[1].set()
    run = await yard.until_quiet(run_id)
    assert run.state == State.FINISHED
    assert set(await yard.conditions(run_id)) == {"FILES_GONE"}


async def test_only_the_first_prepare_of_an_attempt_is_untried(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, asked = FakeBackend.prepare, []

    async def noted(self: FakeBackend, spec: JobSpec) -> Handle:
        asked.append((spec.attempt, spec.untried))
        return await prepare(self, spec)

    monkeypatch.setattr(FakeBackend, "prepare", noted)
    yard.site.faults.add("prepare", SiteUnavailable("The reply was lost."), when="after")
    run_id = await yard.submit()
    await yard.engine()
    assert (await yard.until_quiet(run_id)).state == State.FINISHED
    assert asked == [(1, True), (1, False)]
