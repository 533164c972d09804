"""When a schedule fires: its expression, zone, first and last instant; and what a clock change does to it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, available_timezones

from gateway.errors import InvalidInput
from gateway.schedules import cron
from gateway.schedules.cron import Cron
from gateway.schedules.expression import read

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Timing:
    """All times are instants in UTC."""

    cron: Cron
    zone: ZoneInfo
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def following(self, instant: datetime) -> datetime | None:
        """The first nominal time later than `instant`; None when there is none."""
        found = _following(self.cron, self.zone, self._from(instant))
        return found if found is not None and self._not_past_end(found) else None

    def all_after(self, instant: datetime) -> Iterator[datetime]:
        return takewhile(self._not_past_end, cron.after(self.cron, self.zone, self._from(instant)))

    def newest_first(self, before: datetime, not_before: datetime) -> Iterator[datetime]:
        """Nominal times from the last one earlier than `before` back to `not_before`."""
        first = not_before if self.starts_at is None else max(not_before, self.starts_at)
        last = before - TICK if self.ends_at is None else min(before - TICK, self.ends_at)
        return takewhile(lambda instant: instant >= first, cron.before(self.cron, self.zone, last))

    def _from(self, instant: datetime) -> datetime:
        return instant if self.starts_at is None else max(instant, self.starts_at - TICK)

    def _not_past_end(self, instant: datetime) -> bool:
        return self.ends_at is None or instant <= self.ends_at


@lru_cache(maxsize=1024)
def _following(times: Cron, zone: ZoneInfo, instant: datetime) -> datetime | None:
    """Schedules that are due together mostly are so again."""
    return next(cron.after(times, zone, instant), None)


def timing(expression: str, zone_name: str, start: str | None, end: str | None) -> Timing:
    """Raises InvalidInput that names the field."""
    found = read(expression)
    here = zone(zone_name)
    starts_at = begin(here, start) if start is not None else None
    ends_at = finish(here, end) if end is not None else None
    if starts_at is not None and ends_at is not None and ends_at < starts_at:
        raise InvalidInput(f"endDate: {end} is before startDate {start}. Give a later one.")
    return Timing(found, here, starts_at, ends_at)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Raises InvalidInput for a name that is not in the tz database."""
    if name not in _names():
        raise InvalidInput(f"timeZone: {name!r} is no zone of the tz database. Give a name such as Europe/Berlin.")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "Factory"})


def begin(here: ZoneInfo, given: str) -> datetime:
    """The first instant of a date, or the instant itself."""
    day, local = _parsed("startDate", given)
    return cron.first_instant(here, day) if local is None else _instant(here, local)


def finish(here: ZoneInfo, given: str) -> datetime:
    """The last instant of a date, or the instant itself: both are still part of it."""
    day, local = _parsed("endDate", given)
    return cron.first_instant(here, day + timedelta(days=1)) - TICK if local is None else _instant(here, local)


def _parsed(field: str, given: str) -> tuple[date, datetime | None]:
    try:
        if _DATE.fullmatch(given):
            day, local = date.fromisoformat(given), None
        else:
            local = datetime.fromisoformat(given)
            day = local.date()
    except ValueError:
        raise InvalidInput(
            f"{field}: {given!r} is neither a date (2026-12-31) nor a time (2026-12-31T18:00). Without an offset a "
            "time is one of the zone."
        ) from None
    if not 2000 <= day.year <= 2999:
        raise InvalidInput(f"{field}: {given} is too far away. Give a year from 2000 to 2999.")
    return day, local


def _instant(here: ZoneInfo, local: datetime) -> datetime:
    return cron.as_instant(here, local) if local.tzinfo is None else local.astimezone(UTC)


def note(when: Timing, instant: datetime) -> str | None:
    """What a clock change does to this firing; None where it does nothing."""
    local = instant.astimezone(when.zone)
    skipped = list(cron.jumped_over(when.zone, instant))
    if skipped:
        span = f"Clocks go from {skipped[0]:%H:%M} to {local:%H:%M}"
        moved = [minute for minute in skipped if when.cron.fits(minute)] if when.cron.fixed else []
        if moved:
            times = ", ".join(f"{minute:%H:%M}" for minute in moved[:3]) + (", ..." if len(moved) > 3 else "")
            deed = "do not exist on this day and fire" if len(moved) > 1 else "does not exist on this day and fires"
            return f"{span}: {times} {deed} now, once."
        return f"{span}."
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return None
    if when.cron.fixed:
        return f"Clocks go back: {local:%H:%M} happens twice and fires the first time only."
    return f"Clocks go back: {local:%H:%M} happens twice; this is the {'second' if local.fold else 'first'} time."


def changes(here: ZoneInfo, start: datetime, stop: datetime) -> list[str]:
    """The clock changes between two instants, at most ten, in words."""
    found: list[str] = []
    while start < stop and len(found) < 10:
        later = min(start + timedelta(days=1), stop)
        if start.astimezone(here).utcoffset() != later.astimezone(here).utcoffset():
            found.append(_change(here, start, later))
        start = later
    return found


def _change(here: ZoneInfo, low: datetime, high: datetime) -> str:
    offset = high.astimezone(here).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if middle.astimezone(here).utcoffset() == offset else (middle, high)
    at = high.replace(microsecond=0)
    old = (at - timedelta(seconds=1)).astimezone(here)
    new = at.astimezone(here)
    clock = (at + (old.utcoffset() or timedelta())).replace(tzinfo=None)
    way = "forward" if (new.utcoffset() or timedelta()) > (old.utcoffset() or timedelta()) else "back"
    return f"{clock:%Y-%m-%d}: clocks go {way} from {clock:%H:%M} to {new:%H:%M} ({at:%Y-%m-%d %H:%M} UTC)."


def first(when: Timing, instant: datetime, count: int) -> list[datetime]:
    """At most `count` nominal times later than `instant`."""
    return list(islice(when.all_after(instant), count))
