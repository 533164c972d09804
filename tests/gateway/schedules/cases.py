"""Random expressions, zones and windows, half of them around a change of the clocks; and what the oracles say."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim

from gateway.schedules import cron
from gateway.schedules.expression import read
from tests.gateway.schedules.debian_cron import EPOCH, Entry, Walk, firings, minute_of, walk

FROM, UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2037, 12, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LENGTH = 26 * 60
"""Minutes of a window: more than any day of a zone has, but one."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_STEP_OF_ONE = re.compile(r"\b(\d+)-\1/")
_EXTENDED = re.compile(r"#|\bL\b|\dL")
ZONES = sorted(available_timezones())


@dataclass(frozen=True)
class Case:
    expression: str
    zone: str
    start: int
    """Minute of UTC since the epoch."""


@dataclass(frozen=True)
class Answers:
    """Minutes of firings in the window, each once."""

    ours: list[int]
    debian: list[int] | None
    """None for what Debian cron does not know: L and #."""
    cronsim: list[int]


class Windows:
    """The windows of one zone."""

    def __init__(self, zone: str, chance: random.Random) -> None:
        self.zone, self._chance = zone, chance
        self._changes = changes(zone)

    def start(self) -> int:
        if self._changes and self._chance.random() < 0.6:
            change = self._chance.choice(self._changes)
            return minute_of(change) - self._chance.randrange(LENGTH)
        return self._chance.randrange(minute_of(FROM), minute_of(UNTIL) - LENGTH)


@lru_cache(maxsize=1024)
def changes(zone: str) -> list[datetime]:
    """The hours in which the offset of a zone changes."""
    info = ZoneInfo(zone)
    found = []
    day, offset = FROM, FROM.astimezone(info).utcoffset()
    while day < UNTIL:
        earlier, offset = offset, (day + DAY).astimezone(info).utcoffset()
        if earlier != offset:
            hours = (day + HOUR * n for n in range(24))
            found += [h for h in hours if h.astimezone(info).utcoffset() != (h + HOUR).astimezone(info).utcoffset()]
        day += DAY
    return found


def expressions(chance: random.Random) -> Iterator[str]:
    """Without end; nothing that never fires."""
    while True:
        minute = _field(chance, 0, 59, star=0.3)
        hour = _field(chance, 0, 23, star=0.3, likely=(0, 1, 2, 3, 23))
        day = _field(chance, 1, 31, star=0.55)
        month = _field(chance, 1, 12, star=0.7, names=MONTHS, base=1)
        weekday = _field(chance, 0, 7, star=0.5, names=DAYS)
        if chance.random() < 0.08:
            yield f"{minute} {hour} {_extended(chance, day, weekday)}".replace("MONTH", month)
            continue
        found = f"{minute} {hour} {day} {month} {weekday}"
        if any(_can_be(Entry(found), n) for n in range(28 * 366)):
            yield found


def _extended(chance: random.Random, day: str, weekday: str) -> str:
    """Days as Debian cron does not know them."""
    nth = f"{chance.randint(0, 7)}{chance.choice(('L', '#1', '#2', '#5'))}"
    days = "*" if day.startswith("*") else day
    return chance.choice((f"L MONTH {weekday}", f"1,L MONTH {nth}", f"* MONTH {nth}", f"{days} MONTH {nth},5L"))


def _can_be(entry: Entry, day: int) -> bool:
    date = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return entry.due(min(entry.minute), min(entry.hour), date.day, date.month, date.isoweekday() % 7)


def _field(
    chance: random.Random,
    low: int,
    high: int,
    *,
    star: float,
    names: tuple[str, ...] = (),
    base: int = 0,
    likely: tuple[int, ...] = (),
) -> str:
    if chance.random() < star:
        return "*" if chance.random() < 0.7 else f"*/{chance.choice((1, 2, 3, 5, 7, 15, 40))}"
    return ",".join(_item(chance, low, high, names, base, likely) for _ in range(chance.choice((1, 1, 1, 2, 3))))


def _item(
    chance: random.Random, low: int, high: int, names: tuple[str, ...], base: int, likely: tuple[int, ...]
) -> str:
    first = chance.choice(likely) if likely and chance.random() < 0.7 else chance.randint(low, high)
    if chance.random() < 0.6:
        word = names[first - base] if names and first - base < len(names) and chance.random() < 0.4 else str(first)
        return word.upper() if chance.random() < 0.2 else word
    last = chance.randint(first, high)
    return f"{first}-{last}" if chance.random() < 0.6 else f"{first}-{last}/{chance.randint(1, 9)}"


def known_difference(case: Case, through: Walk) -> str | None:
    """In which way cronsim is known to go its own way here; each has a test in `test_oracles.py`."""
    if _STEP_OF_ONE.search(case.expression):
        return "a range of one value with a step"
    clocks = [minute[0] for minute in through.minutes]
    for earlier, later in pairwise(clocks):
        if later - earlier > 180:
            return "a zone that moves three hours or more"
        if any(minute % 1440 == 0 for minute in range(earlier + 1, later)) and Entry(case.expression).wild:
            return "a wildcard at a midnight that does not exist"
    return None


def answers(case: Case, through: Walk) -> Answers:
    info = ZoneInfo(case.zone)
    start = EPOCH + timedelta(minutes=case.start)
    stop = start + timedelta(minutes=LENGTH)
    ours = takewhile(lambda t: t < stop, cron.after(read(case.expression), info, start - timedelta(minutes=1)))
    return Answers(
        [minute_of(t) for t in ours],
        None if _EXTENDED.search(case.expression) else sorted(set(firings(Entry(case.expression), through))),
        _of_cronsim(case, info, start, stop),
    )


def _of_cronsim(case: Case, info: ZoneInfo, start: datetime, stop: datetime) -> list[int]:
    """It is started a day early, because it begins in the middle of a change otherwise."""
    found = set()
    for local in CronSim(case.expression, (start - DAY).astimezone(info)):
        instant = local.astimezone(UTC)
        if instant >= stop + DAY:
            break
        if start <= instant < stop:
            found.add(minute_of(instant))
    return sorted(found)


def window(zone: str, start: int) -> Walk:
    return walk(ZoneInfo(zone), start, LENGTH)
