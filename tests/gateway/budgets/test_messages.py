"""What subscribers are told: a refusal, a warning, and 80 % and 100 % of a month, each once."""

import pytest

from gateway import clock
from gateway.errors import Conflict
from tests.gateway.budgets.till import NOON, Till


@pytest.fixture(autouse=True)
def noon() -> None:
    clock.use(lambda: NOON)


async def test_a_refused_run_is_told_once_a_day(till: Till) -> None:
    await till.set(run={"core_hours": 10})
    await till.subscribe()
    for _ in range(2):
        with pytest.raises(Conflict):
            await till.submit(11)
    (one,) = await till.told()
    assert (one.event, one.reason, one.run_id) == ("BUDGET_GUARD", "REFUSED", None)
    assert one.project_id == till.yard.project_id
    assert one.text.startswith("Run run in project ")
    assert one.text.endswith(
        "was refused by the budget guard: it may cost 11 core-hours, and the cap for one run is 10."
    )
    clock.use(lambda: NOON.replace(day=16))
    with pytest.raises(Conflict):
        await till.submit(11)
    assert len(await till.told()) == 2


async def test_a_warned_run_is_told_with_its_id(till: Till) -> None:
    await till.set("warn", run={"core_hours": 10})
    await till.subscribe(of_project=False)
    answer = await till.submit(11)
    await till.submit(10)
    (one,) = await till.told()
    assert (one.reason, one.run_id) == ("WARNED", answer.run_id)
    assert "was accepted, and the budget guard warns: it may cost 11 core-hours" in one.text


async def test_levels_of_a_month_are_told_once(till: Till) -> None:
    await till.set(month={"core_hours": 100})
    await till.subscribe()
    await till.submit(79)
    assert await till.reasons() == []
    await till.submit(1)
    assert await till.reasons() == ["MONTH_80"]
    await till.submit(10)
    assert await till.reasons() == ["MONTH_80"]
    await till.submit(10)
    assert await till.reasons() == ["MONTH_100", "MONTH_80"]
    (full,) = [one for one in await till.told() if one.reason == "MONTH_100"]
    assert "has reached 100 % of its core-hours for 2026-11: 0 are spent and 100 reserved by live runs" in full.text


async def test_a_level_is_told_again_in_the_next_month_and_of_the_other_unit(till: Till) -> None:
    await till.set("warn", month={"core_hours": 10, "gpu_hours": 10})
    await till.subscribe()
    run_id = (await till.submit(8)).run_id
    await till.end(run_id, NOON)
    await till.submit(1, gpus=8)
    assert await till.reasons() == ["MONTH_80", "MONTH_80"]
    clock.use(lambda: NOON.replace(month=12))
    await till.submit(7)
    assert await till.reasons() == ["MONTH_80"] * 4, "the GPU-hours are still reserved by a live run"


async def test_both_levels_at_once_are_one_message(till: Till) -> None:
    await till.set("warn", month={"core_hours": 10})
    await till.subscribe()
    await till.submit(11)
    assert await till.reasons() == ["MONTH_100", "WARNED"]


async def test_nothing_is_told_where_the_guard_is_off(till: Till) -> None:
    await till.set("off", run={"core_hours": 1}, month={"core_hours": 1})
    await till.subscribe()
    await till.submit(100)
    assert await till.told() == []
