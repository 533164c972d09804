"""The rules of Debian cron: which days an expression names, and what happens when clocks change. Pure.

A time is fixed when neither minute nor hour begins with `*`. A fixed time fires once on its day: one that the clocks
jump over, at the first instant after; one that happens twice, the first time. Other times follow the clock as it goes.
Source: the man page crontab(5) and the main loop of cron 3.0pl1 (`timeDiff` and `virtualTime`).
"""

import calendar
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, timedelta, tzinfo

LAST = -1
"""In place of a number: the last such weekday of the month."""
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LONGEST_GAP = timedelta(hours=3)
"""cron makes up for what the clocks jumped over when they jumped by less; a zone that moves further skips it."""
FAR = timedelta(days=50 * 366)
"""No expression that ever fires is silent for longer: 29 February on one weekday comes back within 40 years."""
_CYCLE = (date(2000, 1, 1), 28 * 366)
"""All pairs of calendar and leap year come up in 28 years."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The values of each field, sorted. Weekdays count from Sunday, 0, to Saturday, 6."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    last_day: bool
    months: frozenset[int]
    weekdays: frozenset[int]
    nth_weekdays: frozenset[tuple[int, int]]
    both_days: bool
    """A field of days begins with `*`: a day has to fit both of them. Else one is enough."""
    fixed: bool

    def fits_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_month = day.day in self.days or (self.last_day and day.day == _length(day))
        in_week = self._fits_weekday(day)
        return (in_month and in_week) if self.both_days else (in_month or in_week)

    def _fits_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if weekday in self.weekdays:
            return True
        if not self.nth_weekdays:
            return False
        if (weekday, (day.day + 6) // 7) in self.nth_weekdays:
            return True
        return day.day + 7 > _length(day) and (weekday, LAST) in self.nth_weekdays

    def fits(self, local: datetime) -> bool:
        return local.minute in self.minutes and local.hour in self.hours and self.fits_day(local.date())


def ever_fires(cron: Cron) -> bool:
    first, days = _CYCLE
    return any(cron.fits_day(first + DAY * n) for n in range(days))


def after(cron: Cron, zone: tzinfo, instant: datetime) -> Iterator[datetime]:
    """Instants later than `instant`, in order, in UTC; ends after FAR without one."""
    start = _minute(instant) + MINUTE
    end = _add(instant, FAR)
    while start < end:
        start = _month_of_interest(cron, start)
        stop = _add(start, DAY)
        for found in _within(cron, zone, start, stop):
            yield found
            end = _add(found, FAR)
        start = stop


def before(cron: Cron, zone: tzinfo, instant: datetime) -> Iterator[datetime]:
    """Instants not later than `instant`, newest first; ends after FAR without one."""
    stop = _minute(instant) + MINUTE
    end = instant - FAR
    while stop > end:
        for found in reversed(list(_within(cron, zone, stop - DAY, stop))):
            yield found
            end = found - FAR
        stop -= DAY


def first_instant(zone: tzinfo, day: date) -> datetime:
    """When a day begins in a zone: not always at midnight, and a day that was left out begins with the next one."""
    local = datetime.combine(day, datetime.min.time())
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant
    return _end_of_gap(zone, local)


def as_instant(zone: tzinfo, local: datetime) -> datetime:
    """A local time as an instant: the first of two, and for one that does not exist the first instant after it."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant
    return _end_of_gap(zone, local)


def jumped_over(zone: tzinfo, instant: datetime) -> Iterator[datetime]:
    """The local minutes that a jump of the clocks at `instant` left out; none where nothing jumps forward."""
    earlier, now = _offset(zone, instant - MINUTE), _offset(zone, instant)
    local = (instant + earlier).replace(tzinfo=None)
    while earlier < now:
        yield local
        local += MINUTE
        earlier += MINUTE


def _month_of_interest(cron: Cron, start: datetime) -> datetime:
    """`start`, or the time before a month begins whose days are worth a look, in whatever zone."""
    while not cron.months & {(start - DAY).month, (start + 2 * DAY).month} and start.year < MAXYEAR:
        soon = start + 2 * DAY
        following = soon.replace(day=1, hour=0, minute=0) + 32 * DAY
        start = following.replace(day=1) - 2 * DAY
    return start


def _within(cron: Cron, zone: tzinfo, start: datetime, stop: datetime) -> Iterator[datetime]:
    """Instants from `start` until before `stop`, which is at most a few days later."""
    earlier, later = _offset(zone, start - MINUTE), _offset(zone, stop - MINUTE)
    first = min((start + earlier).date(), (start + later).date())
    last = max((stop + earlier).date(), (stop + later).date())
    days = [d for n in range((last - first).days + 1) if cron.fits_day(d := first + DAY * n)]
    if not days:
        return iter(())
    if earlier == later:
        return _steady(cron, days, start, stop, earlier)
    return _changing(cron, zone, start, stop)


def _steady(cron: Cron, days: list[date], start: datetime, stop: datetime, offset: timedelta) -> Iterator[datetime]:
    """Where the clocks do not change."""
    low, high = (start + offset).replace(tzinfo=None), (stop + offset).replace(tzinfo=None)
    for day in days:
        today = day == low.date()
        for hour in cron.hours[bisect_left(cron.hours, low.hour) if today else 0 :]:
            this_hour = today and hour == low.hour
            for minute in cron.minutes[bisect_left(cron.minutes, low.minute) if this_hour else 0 :]:
                local = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  local by intent
                if local >= high:
                    return
                if local >= low:
                    yield (local - offset).replace(tzinfo=UTC)


def _changing(cron: Cron, zone: tzinfo, start: datetime, stop: datetime) -> Iterator[datetime]:
    """Where they change: minute by minute, as cron itself goes."""
    instant = start
    while instant < stop:
        local = instant.astimezone(zone)
        if cron.fits(local) and not (cron.fixed and local.fold):
            yield instant
        elif cron.fixed:
            skipped = list(jumped_over(zone, instant))
            if len(skipped) * MINUTE < LONGEST_GAP and any(cron.fits(minute) for minute in skipped):
                yield instant
        instant += MINUTE


def _end_of_gap(zone: tzinfo, local: datetime) -> datetime:
    """The first instant after a local time that does not exist."""
    aware = local.replace(tzinfo=zone)
    low, high = aware.replace(fold=1).astimezone(UTC), aware.astimezone(UTC)
    after_it = _offset(zone, high)
    while high - low > MINUTE:
        middle = _minute(low + (high - low) / 2)
        if _offset(zone, middle) == after_it:
            high = middle
        else:
            low = middle
    return high


def _offset(zone: tzinfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _minute(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(second=0, microsecond=0)


def _add(instant: datetime, length: timedelta) -> datetime:
    try:
        return instant + length
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]
