"""An oracle: the rules of Debian cron 3.0pl1, walked minute by minute, as its parser and its main loop go.

Nothing here is shared with the gateway. A firing is a minute of UTC since the epoch; one minute may have several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
BEFORE = 300
"""Minutes that the loop runs before the window, so that clocks that went back just before are known."""
HOURS_3 = 180


@dataclass(frozen=True)
class Walk:
    """The local time of each minute of a window."""

    start: int
    minutes: list[tuple[int, int, int, int, int, int]]
    """Local minutes since the epoch; minute, hour, day of month, month, day of week."""


def minute_of(instant: datetime) -> int:
    return int((instant - EPOCH).total_seconds()) // 60


def walk(zone: tzinfo, start: int, length: int) -> Walk:
    """The window, and BEFORE minutes before it."""
    found = []
    instant = EPOCH + timedelta(minutes=start - BEFORE - 1)
    for _ in range(length + BEFORE + 1):
        local = instant.astimezone(zone)
        clock = minute_of(local.replace(tzinfo=UTC))
        found.append((clock, local.minute, local.hour, local.day, local.month, local.isoweekday() % 7))
        instant += timedelta(minutes=1)
    return Walk(start, found)


class Entry:
    """A line of a crontab: bits, and which fields begin with a star."""

    def __init__(self, expression: str) -> None:
        minute, hour, dom, month, dow = expression.lower().split()
        self.minute, self.hour = _bits(minute, 0, 59), _bits(hour, 0, 23)
        self.dom, self.month = _bits(dom, 1, 31), _bits(month, 1, 12, MONTHS, 1)
        self.dow = {day % 7 for day in _bits(dow, 0, 7, DAYS, 0)}
        self.wild = minute[0] == "*" or hour[0] == "*"
        self.star_day = dom[0] == "*" or dow[0] == "*"

    def due(self, minute: int, hour: int, dom: int, month: int, dow: int) -> bool:
        if minute not in self.minute or hour not in self.hour or month not in self.month:
            return False
        if self.star_day:
            return dom in self.dom and dow in self.dow
        return dom in self.dom or dow in self.dow


def _bits(field: str, low: int, high: int, names: Sequence[str] = (), base: int = 0) -> set[int]:
    bits: set[int] = set()
    for part in field.split(","):
        rest, _, step = part.partition("/")
        if rest == "*":
            first, last = low, high
        else:
            one, dash, other = rest.partition("-")
            first = _number(one, names, base)
            last = _number(other, names, base) if dash else first
        value = first
        while value <= last:
            bits.add(value)
            value += int(step or 1)
    return bits


def _number(word: str, names: Sequence[str], base: int) -> int:
    return names.index(word) + base if word in names else int(word)


def firings(entry: Entry, through: Walk) -> list[int]:
    """The minutes at which cron starts the job, with every repetition."""
    found: list[int] = []
    virtual = through.minutes[0][0]
    first = through.start - BEFORE
    for now, (clock, *fields) in enumerate(through.minutes[1:], first):
        difference = clock - virtual
        if difference == 1:
            virtual = clock
            if fields[0] in entry.minute:
                found += _run(entry, now, fields)
        elif 1 < difference <= HOURS_3:
            found += _run(entry, now, fields) if entry.wild else _missed(entry, now, virtual, clock)
            virtual = clock
        elif -HOURS_3 < difference <= 0:
            found += _run(entry, now, fields) if entry.wild else []
        else:
            virtual = clock
            found += _run(entry, now, fields)
    return [minute for minute in found if minute >= through.start]


def _run(entry: Entry, now: int, fields: Sequence[int]) -> list[int]:
    minute, hour, dom, month, dow = fields
    return [now] if entry.due(minute, hour, dom, month, dow) else []


def _missed(entry: Entry, now: int, virtual: int, clock: int) -> list[int]:
    """A fixed time in minutes that the clocks jumped over is made up for at once."""
    found = []
    for minute in range(virtual + 1, clock + 1):
        local = EPOCH + timedelta(minutes=minute)
        found += _run(entry, now, (local.minute, local.hour, local.day, local.month, local.isoweekday() % 7))
    return found
