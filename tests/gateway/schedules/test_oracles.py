"""Our firings against two independent oracles; `scripts/bench cron` does the same for 100 000 cases."""

import random
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from gateway.schedules import cron
from gateway.schedules.expression import read
from tests.gateway.schedules.cases import (
    FROM,
    UNTIL,
    ZONES,
    Case,
    Windows,
    answers,
    expressions,
    known_difference,
    window,
)
from tests.gateway.schedules.debian_cron import Entry, firings, minute_of, walk

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_case_differs(seed: int) -> None:
    """Half of the windows lie around a change of the clocks; a new sample for each version of the tz database."""
    chance = random.Random(seed)
    pool = list(islice(expressions(chance), 40))
    for zone in chance.sample(ZONES, 5):
        start = Windows(zone, chance).start()
        through = window(zone, start)
        for expression in chance.sample(pool, 12):
            case = Case(expression, zone, start)
            found = answers(case, through)
            assert found.debian in (None, found.ours), case
            assert found.cronsim == found.ours or known_difference(case, through), case


@pytest.mark.parametrize("expression", ["0 0 29 2 *", "0 0 29 2 */7", "30 4 1 1 *", "0 0 L 2 *", "15 3 * 11 5L"])
def test_rare_times_are_those_of_cronsim(expression: str) -> None:
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    ours = islice(cron.after(read(expression), UTC, begin), 3)
    assert list(ours) == list(islice(CronSim(expression, begin), 3))


def _ours(expression: str, zone: str, start: datetime, hours: int) -> list[str]:
    stop = start + timedelta(hours=hours)
    found = takewhile(lambda t: t < stop, cron.after(read(expression), ZoneInfo(zone), start - timedelta(minutes=1)))
    return [f"{t:%d %H:%M}" for t in found]


def _debian(expression: str, zone: str, start: datetime, hours: int) -> list[str]:
    through = walk(ZoneInfo(zone), minute_of(start), hours * 60)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [f"{epoch + timedelta(minutes=m):%d %H:%M}" for m in firings(Entry(expression), through)]


def _cronsim(expression: str, zone: str, start: datetime, hours: int) -> list[str]:
    stop = start + timedelta(hours=hours)
    found = (t.astimezone(UTC) for t in CronSim(expression, (start - timedelta(days=1)).astimezone(ZoneInfo(zone))))
    return [f"{t:%d %H:%M}" for t in takewhile(lambda t: t < stop, found) if t >= start]


def test_debian_starts_a_job_for_each_time_that_was_jumped_over_and_we_fire_once() -> None:
    """A firing is an instant: two times that fall on the same one are one."""
    given = ("0,30 2 * * *", "Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC), 6)
    assert _debian(*given) == ["29 01:00", "29 01:00"]
    assert _ours(*given) == ["29 01:00"]


def test_cronsim_makes_up_for_a_jump_of_three_hours_and_cron_does_not() -> None:
    """Casey moved its clocks from UTC+8 to UTC+11; no daylight saving time is so long."""
    given = ("30 1 * * *", "Antarctica/Casey", datetime(2016, 10, 21, 12, tzinfo=UTC), 24)
    assert _ours(*given) == _debian(*given) == []
    assert _cronsim(*given) == ["21 16:00"]


def test_a_day_that_was_left_out_fires_nothing() -> None:
    """Samoa went from Thursday 29 to Saturday 31 December 2011."""
    given = ("30 12 * * *", "Pacific/Apia", datetime(2011, 12, 29, 12, tzinfo=UTC), 48)
    assert _ours(*given) == _debian(*given) == ["29 22:30", "30 22:30"]


def test_cronsim_reads_a_range_of_one_with_a_step_as_a_start() -> None:
    given = ("5-5/20 4 * * *", "UTC", datetime(2026, 3, 29, tzinfo=UTC), 24)
    assert _ours(*given) == _debian(*given) == ["29 04:05"]
    assert _cronsim(*given) == ["29 04:05", "29 04:25", "29 04:45"]


def test_cronsim_fires_a_wildcard_at_a_midnight_that_does_not_exist() -> None:
    """In Cairo the clocks go from 00:00 to 01:00; there is no 00:00 on that day."""
    day = datetime(2032, 4, 29, 12, tzinfo=UTC)
    given = ("0 */23 30 * *", "Africa/Cairo", day, 24)
    assert _ours(*given) == _debian(*given)
    assert set(_cronsim(*given)) > set(_ours(*given))


def test_no_zone_goes_back_by_more_than_three_hours() -> None:
    """Debian cron would run everything again there; the rule for it would have to be decided."""
    week = timedelta(days=7)
    for zone in ZONES:
        info, instant = ZoneInfo(zone), FROM
        offset = instant.astimezone(info).utcoffset() or timedelta()
        while instant < UNTIL:
            instant += week
            earlier, offset = offset, instant.astimezone(info).utcoffset() or timedelta()
            assert earlier - offset <= timedelta(hours=3), (zone, instant)
