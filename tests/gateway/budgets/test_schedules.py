"""Firings go through the same guard as requests, and the history says what became of them."""

import asyncio

import pytest
from sqlalchemy import event, update

from gateway.db.session import Database
from gateway.errors import Conflict
from gateway.runs.rows import Run
from gateway.schedules import by_hand, rounds
from gateway.schemas.schedules import FireNow
from tests.gateway.budgets.till import Till
from tests.gateway.schedules.office import NOON, Office


@pytest.fixture
async def till(office: Office) -> Till:
    """The run that is repeated may cost 10 core-hours, and cost nothing."""
    made = Till(office.yard)
    values = {"worst_core_hours": 10.0, "worst_gpu_hours": 0.0, "core_hours": 0.0, "gpu_hours": 0.0}
    await office.set(Run, **values)
    return made


async def test_a_firing_reserves_what_the_repeated_run_may_cost(office: Office, till: Till) -> None:
    await till.set(month={"core_hours": 100})
    await office.create()
    assert await office.later(hours=1) == 1
    (run,) = await office.runs()
    assert (run.worst_core_hours, run.worst_gpu_hours, run.core_hours) == (10.0, 0.0, None)
    assert (await till.show()).reserved.core_hours == 10.0


async def test_a_month_with_too_little_left_lets_a_firing_wait_and_then_skips_it(office: Office, till: Till) -> None:
    await till.set(month={"core_hours": 15})
    await till.subscribe()
    made = await office.create(overlap_policy="allow", grace_seconds=600)
    assert await office.later(hours=1) == 1
    assert await office.later(hours=1) == 0
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 WAITING BUDGET_GUARD"]
    waits = (await office.firings(made.schedule_id))[-1]
    assert "5 are left (0 spent, 10 reserved by live runs)" in waits.text
    assert await office.later(minutes=11) == 0
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 SKIPPED BUDGET_GUARD"]
    assert (await office.schedule(made.schedule_id)).state == "ACTIVE"
    assert (await office.schedule(made.schedule_id)).failures == 0
    told = await till.told()
    assert [one.reason for one in told] == ["REFUSED"], "once a day"
    assert told[0].schedule_id == made.schedule_id
    assert told[0].text.startswith("A run of schedule hourly in project ")


async def test_a_firing_that_waits_goes_on_when_a_run_ends_cheaply(office: Office, till: Till) -> None:
    await till.set(month={"core_hours": 15})
    made = await office.create(overlap_policy="allow")
    await office.later(hours=1)
    await office.later(hours=1)
    (run,) = await office.runs()
    await till.end(run.id, office.now, core_hours=2.0, gpu_hours=0.0)
    assert await office.later(seconds=15) == 1
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 FIRED"]


async def test_a_run_above_the_cap_for_one_run_pauses_the_schedule(office: Office, till: Till) -> None:
    await till.set(run={"core_hours": 9})
    await till.subscribe()
    made = await office.create()
    assert await office.later(hours=1) == 0
    assert await office.history(made.schedule_id) == ["13:00 REFUSED BUDGET_GUARD"]
    schedule = await office.schedule(made.schedule_id)
    assert (schedule.state, schedule.reason) == ("PAUSED", "BUDGET_GUARD")
    assert "may cost 10 core-hours, and the cap for one run is 9" in str(schedule.message)
    assert await till.reasons() == ["REFUSED"]


async def test_an_unknown_cost_pauses_the_schedule(office: Office, till: Till) -> None:
    await office.set(Run, worst_core_hours=None)
    await till.set(month={"core_hours": 100})
    made = await office.create()
    assert await office.later(hours=1) == 0
    assert await office.history(made.schedule_id) == ["13:00 REFUSED BUDGET_GUARD"]


async def test_warn_fires_and_writes_it_down(office: Office, till: Till) -> None:
    await till.set("warn", run={"core_hours": 9}, month={"core_hours": 12})
    await till.subscribe(of_project=False)
    await office.create(overlap_policy="allow")
    assert await office.later(hours=1) == 1
    (run,) = await office.runs()
    (warning,) = await office.yard.events(run.id, "budget")
    assert "the cap for one run is 9" in warning.text
    assert await till.reasons() == ["MONTH_80", "WARNED"]
    assert {one.run_id for one in await till.told()} == {run.id}


async def test_many_firings_of_one_round_do_not_pass_the_cap_together(office: Office, till: Till) -> None:
    await till.set(month={"core_hours": 25})
    for name in ("one", "two", "three", "four"):
        await office.create(name=name)
    assert await office.later(hours=1) == 2
    assert (await till.show()).reserved.core_hours == 20.0


async def test_a_round_and_requests_at_once_do_not_pass_the_cap_together(
    office: Office, till: Till, database_url: str
) -> None:
    await till.set(month={"core_hours": 35})
    for name in ("one", "two", "three"):
        await office.create(name=name)
    await office.pass_time(hours=1)
    other = Database(database_url)
    try:
        calls = [rounds.go(other, office.settings), *(till.submit(10) for _ in range(3))]
        await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await other.close()
    await office.look()
    assert (await till.show()).reserved.core_hours == 30.0


async def test_firing_by_hand_is_judged_and_told(office: Office, till: Till) -> None:
    await till.set(month={"core_hours": 15})
    await till.subscribe()
    made = await office.create()
    doors = (office.db, office.settings, office.yard.caller, office.yard.project_id, made.schedule_id)
    fired = await by_hand.fire_now(*doors, FireNow(), key="k")
    with pytest.raises(Conflict, match="5 are left"):
        await by_hand.fire_now(*doors, FireNow(), key="other")
    assert (await by_hand.fire_now(*doors, FireNow(), key="k")).firing_id == fired.firing_id
    assert await till.reasons() == ["REFUSED"]
    assert len(await office.firings(made.schedule_id)) == 1


async def test_a_new_month_lets_firings_go_on(office: Office, till: Till) -> None:
    await till.set(month={"core_hours": 10})
    await office.create("0 0 1 * *", name="monthly")
    await till.submit(10)
    async with till.db.transaction() as session:
        live = Run.ended_at.is_(None)
        await session.execute(update(Run).where(live).values(state="FINISHED", ended_at=NOON, due_at=None))
    with pytest.raises(Conflict, match="0 are left"):
        await till.submit(1)
    assert await office.later(days=29, hours=12) == 1


async def test_a_guard_that_is_off_is_not_summed_up_for_firings(office: Office, till: Till) -> None:
    said: list[str] = []
    note = lambda _c, _cursor, statement, *_: said.append(statement)  # noqa: E731
    event.listen(till.db.engine.sync_engine, "before_cursor_execute", note)
    await office.create(overlap_policy="allow")
    assert await office.later(hours=1) == 1
    assert not [statement for statement in said if "sum(" in statement]
    await till.set("warn", month={"core_hours": 100})
    said.clear()
    assert await office.later(hours=1) == 1
    assert len([statement for statement in said if "sum(" in statement]) == 1
