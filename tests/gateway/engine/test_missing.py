"""A job that its site does not show, and whose directory it cannot show either, is its own run's matter only."""

from backends.errors import SiteUnavailable
from backends.reasons import Reason
from gateway.runs.states import State
from tests.gateway.engine.yard import Yard

HOUR = 3600.0


async def test_a_directory_that_cannot_be_looked_at_holds_up_no_other_run(yard: Yard) -> None:
    gone, other = [await yard.submit(yard.waiting()) for _ in range(2)]
    await yard.engine()
    lost = await yard.until_running(gone)
    await yard.until_running(other)
    yard.faults.always("revoke", SiteUnavailable("The fence cannot be looked at."))
    yard.site.lose(lost)
    await yard.until_condition(gone, "JOB_MISSING")
    await yard.age_conditions(HOUR)

    async def asked_again() -> bool:
        return yard.faults.calls["revoke"] > 3

    await yard.until(asked_again, "asked again")
    assert await yard.conditions(other) == {}
    yard.go(other)
    assert (await yard.until_quiet(other)).state == State.FINISHED
    assert (await yard.run(gone)).state == State.RUNNING
    yard.faults.always("revoke", None)
    assert (await yard.until_state(gone, State.FAILED)).reason == Reason.LOST
