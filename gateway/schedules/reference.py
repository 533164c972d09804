"""The reference page of schedules; what happens when clocks change is computed by the code that fires."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from gateway.reference.markdown import code, table
from gateway.schedules.cron import LONGEST_GAP
from gateway.schedules.expression import ALIASES
from gateway.schedules.timing import changes, note, timing
from gateway.schedules.words import (
    FIRINGS,
    MISFIRES,
    OVERLAPS,
    REASONS,
    STATES,
    FiringState,
    Misfire,
    Overlap,
    Reason,
    ScheduleState,
)
from gateway.schemas.schedules import CreateSchedule

_HEAD = """\
# Schedules

Made by `python -m gateway.reference`; do not edit.

A schedule repeats a run by the clock. The nominal time of a firing is an instant in UTC, and (schedule, kind, nominal
time) is unique in the database: the row is made in the transaction that makes the run, so that nothing fires twice.

## Expressions

Five fields as Debian's cron reads them, with names of months and weekdays, and Sunday as 0 or 7. A day has to fit day
of month *or* day of week; where one of the two fields begins with `*`, it has to fit both. Beyond cron, `L` is the last
day of the month, `5L` its last Friday, and `1#2` its second Monday.
"""
_REFUSED = """\
Refused by name: seconds and years, `@reboot`, `@every`, `TZ=`, `?`, `W`, `H`, `R`, `~`, a step without a range
(`5/15`), a range that runs backwards (`22-4`), and what never fires (`0 0 30 2 *`).
"""
_CLOCKS = """\
## When clocks change

A time is fixed when neither minute nor hour begins with `*`. A fixed time fires once on its day: one that the clocks
jump over, at the first instant after; one that happens twice, the first time. Other times follow the clock as it goes.
Times that fall on the same instant are one firing. A zone that moves by {hours} hours or more changes more than its
daylight saving time: what it jumps over does not fire.
"""
_DEFAULTS = """\
## Fields and their defaults
"""


class _Change(NamedTuple):
    what: str
    expression: str
    zone: str
    begin: datetime
    hours: int = 24


def _at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


_CHANGES = (
    _Change("jumped over", "30 2 * * *", "Europe/Berlin", _at(2026, 3, 28, 23)),
    _Change("two times jumped over", "0,30 2 * * *", "Europe/Berlin", _at(2026, 3, 28, 23)),
    _Change("jumped over, and just after", "0 2,3 * * *", "Europe/Berlin", _at(2026, 3, 28, 23)),
    _Change("jumped over, wildcard", "*/30 2 * * *", "Europe/Berlin", _at(2026, 3, 28, 23)),
    _Change("every hour, forward", "0 * * * *", "Europe/Berlin", _at(2026, 3, 28, 23, 30), 3),
    _Change("happens twice", "30 2 * * *", "Europe/Berlin", _at(2026, 10, 24, 22)),
    _Change("happens twice, wildcard", "*/30 2 * * *", "Europe/Berlin", _at(2026, 10, 24, 22)),
    _Change("every hour, back", "0 * * * *", "Europe/Berlin", _at(2026, 10, 24, 23, 30), 3),
    _Change("midnight jumped over", "0 0 * * *", "America/Santiago", _at(2026, 9, 6, 3), 23),
    _Change("last hour of a day twice", "30 23 * * *", "America/Santiago", _at(2026, 4, 4, 12)),
    _Change("by half an hour, forward", "15 2 * * *", "Australia/Lord_Howe", _at(2026, 10, 3, 13)),
    _Change("by half an hour, back", "45 1 * * *", "Australia/Lord_Howe", _at(2026, 4, 4, 13)),
    _Change("by two hours, forward", "30 1 * * *", "Antarctica/Troll", _at(2026, 3, 28, 23)),
    _Change("a zone moves by three hours", "30 1 * * *", "Antarctica/Casey", _at(2016, 10, 21, 12)),
    _Change("a day that is left out", "30 12 * * *", "Pacific/Apia", _at(2011, 12, 29, 11), 48),
)


def page() -> str:
    """The whole page, in Markdown."""
    clocks = _CLOCKS.format(hours=LONGEST_GAP // timedelta(hours=1))
    parts = [
        _HEAD,
        table(("short for", "means"), ((f"`{name}`", f"`{text}`") for name, text in ALIASES.items())),
        "",
        _REFUSED,
        clocks,
        table(("case", "expression", "zone", "the clocks", "fires (local)", "fires (UTC)", "note"), _rows()),
        "",
        _DEFAULTS,
        table(("field", "by default"), _defaults()),
        "",
        *_words("Overlap policies", ((f"`{w}`", OVERLAPS[w]) for w in Overlap)),
        *_words("Misfire policies", ((f"`{w}`", MISFIRES[w]) for w in Misfire)),
        *_words("States of a schedule", ((f"`{w}`", STATES[w]) for w in ScheduleState)),
        *_words("States of a firing", ((f"`{w}`", FIRINGS[w]) for w in FiringState)),
        *_words("Reasons", ((f"`{w}`", REASONS[w]) for w in Reason)),
    ]
    return "\n".join(parts)


def _rows() -> Iterable[tuple[str, ...]]:
    for change in _CHANGES:
        when = timing(change.expression, change.zone, None, None)
        stop = change.begin + timedelta(hours=change.hours)
        found = list(islice(takewhile(lambda t, stop=stop: t <= stop, when.all_after(change.begin)), 6))  # type: ignore[misc]
        local = [instant.astimezone(when.zone) for instant in found]
        notes = [text for instant in found if (text := note(when, instant)) is not None]
        yield (
            change.what,
            f"`{change.expression}`",
            change.zone,
            " ".join(_brief(text) for text in changes(when.zone, change.begin, stop)),
            ", ".join(f"{t:%d %H:%M %z}" for t in local) or "not",
            ", ".join(f"{t:%d %H:%M}" for t in found) or "-",
            notes[0] if notes else "-",
        )


def _brief(text: str) -> str:
    """Without the UTC time, which stands in its own column."""
    return text.partition(" (")[0]


def _defaults() -> Iterable[tuple[str, str]]:
    for name, field in CreateSchedule.model_fields.items():
        if not field.is_required():
            value = field.default
            shown = "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            yield code([field.alias or name]), shown if shown == "-" else f"`{shown}`"


def _words(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"## {title}\n", table(("word", "meaning"), rows), ""]
