"""Zones, dates, and what is said about clock changes."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from gateway.errors import InvalidInput
from gateway.schedules import cron
from gateway.schedules.expression import read
from gateway.schedules.timing import TICK, changes, first, note, timing

BERLIN = "Europe/Berlin"


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def test_a_fixed_time_in_the_gap_fires_at_the_first_instant_after_it() -> None:
    found = first(timing("30 2 * * *", BERLIN, None, None), at(2026, 3, 28, 12), 2)
    assert found == [at(2026, 3, 29, 1), at(2026, 3, 30, 0, 30)]


def test_a_fixed_time_that_happens_twice_fires_the_first_time() -> None:
    found = first(timing("30 2 * * *", BERLIN, None, None), at(2026, 10, 24, 12), 2)
    assert found == [at(2026, 10, 25, 0, 30), at(2026, 10, 26, 1, 30)]


def test_a_wildcard_follows_the_clock() -> None:
    found = first(timing("0 * * * *", BERLIN, None, None), at(2026, 10, 24, 23, 30), 4)
    assert found == [at(2026, 10, 25, hour) for hour in range(4)]


def test_midnight_in_santiago_is_not_left_out() -> None:
    found = first(timing("0 0 * * *", "America/Santiago", None, None), at(2026, 9, 5, 12), 2)
    assert found == [at(2026, 9, 6, 4), at(2026, 9, 7, 3)]


def test_backwards_is_forwards_read_from_its_end() -> None:
    found, zone = read("*/20 1-3 * * *"), ZoneInfo(BERLIN)
    begin = at(2026, 10, 24)
    forwards = list(islice(cron.after(found, zone, begin), 40))
    back = cron.before(found, zone, forwards[-1])
    assert list(islice(back, 40)) == forwards[::-1]


def test_an_end_date_lasts_until_the_end_of_its_day_in_the_zone() -> None:
    found = timing("* * * * *", "America/Santiago", None, "2026-09-05")
    assert found.ends_at == at(2026, 9, 6, 4) - TICK, "midnight of the next day does not exist there"


@pytest.mark.parametrize(
    ("given", "instant"),
    [
        ("2026-03-29T02:30", at(2026, 3, 29, 1)),
        ("2026-10-25T02:30", at(2026, 10, 25, 0, 30)),
        ("2026-10-25T02:30+01:00", at(2026, 10, 25, 1, 30)),
        ("2026-10-25T02:30Z", at(2026, 10, 25, 2, 30)),
    ],
)
def test_an_end_may_be_an_instant(given: str, instant: datetime) -> None:
    assert timing("* * * * *", BERLIN, None, given).ends_at == instant


def test_a_day_that_was_left_out_begins_with_the_next_one() -> None:
    found = cron.first_instant(ZoneInfo("Pacific/Apia"), date(2011, 12, 30))
    assert found == at(2011, 12, 30, 10)


@pytest.mark.parametrize(
    ("zone", "start", "end", "refused"),
    [
        ("Europe/Berlinn", None, None, "timeZone: 'Europe/Berlinn' is no zone of the tz database."),
        ("../../etc/passwd", None, None, "timeZone: "),
        ("UTC", "tomorrow", None, "startDate: 'tomorrow' is neither a date"),
        ("UTC", None, "2026-02-30", "endDate: '2026-02-30' is neither a date"),
        ("UTC", None, "9999-12-31", "endDate: 9999-12-31 is too far away."),
        ("UTC", "2026-03-02", "2026-03-01", "endDate: 2026-03-01 is before startDate 2026-03-02."),
    ],
)
def test_what_is_refused(zone: str, start: str | None, end: str | None, refused: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        timing("* * * * *", zone, start, end)
    assert caught.value.message.startswith(refused)


def test_what_is_said_about_a_change() -> None:
    fixed, wild = timing("30 2 * * *", BERLIN, None, None), timing("0 * * * *", BERLIN, None, None)
    moved = "Clocks go from 02:00 to 03:00: 02:30 does not exist on this day and fires now, once."
    assert note(fixed, at(2026, 3, 29, 1)) == moved
    assert note(fixed, at(2026, 10, 25, 0, 30)) == "Clocks go back: 02:30 happens twice and fires the first time only."
    assert note(wild, at(2026, 3, 29, 1)) == "Clocks go from 02:00 to 03:00."
    assert note(wild, at(2026, 10, 25, 0)) == "Clocks go back: 02:00 happens twice; this is the first time."
    assert note(wild, at(2026, 10, 25, 1)) == "Clocks go back: 02:00 happens twice; this is the second time."
    assert note(fixed, at(2026, 6, 1, 0, 30)) is None


def test_the_changes_of_a_year() -> None:
    assert changes(ZoneInfo(BERLIN), at(2026, 1, 1), at(2027, 1, 1)) == [
        "2026-03-29: clocks go forward from 02:00 to 03:00 (2026-03-29 01:00 UTC).",
        "2026-10-25: clocks go back from 03:00 to 02:00 (2026-10-25 01:00 UTC).",
    ]


def test_times_end_with_the_end_date() -> None:
    found = timing("0 12 * * *", "UTC", "2026-03-03", "2026-03-05")
    assert [t.day for t in first(found, at(2026, 3, 1), 10)] == [3, 4, 5]
    assert [t.day for t in found.newest_first(at(2026, 4, 1), at(2026, 3, 1))] == [5, 4, 3]
    assert found.following(at(2026, 3, 5, 12)) is None


def test_a_year_of_minutes_is_not_walked_for_a_rare_time() -> None:
    found = cron.after(read("0 0 29 2 *"), ZoneInfo(BERLIN), at(2096, 3, 1))
    assert next(found) == datetime(2104, 2, 28, 23, tzinfo=UTC), "2100 is no leap year"
    assert next(cron.before(read("0 0 29 2 *"), UTC, at(2026, 1, 1))) == at(2024, 2, 29)
    assert next(found) - at(2104, 2, 28, 23) < timedelta(days=4 * 366)
