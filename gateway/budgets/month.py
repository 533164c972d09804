"""Calendar months of a zone."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from gateway.errors import InvalidInput
from gateway.schedules.cron import first_instant
from gateway.schedules.timing import zone


@dataclass(frozen=True, slots=True)
class Month:
    """From its first instant up to the first one of the next month, in UTC."""

    name: str
    """As 2026-11."""
    begins: datetime
    ends: datetime


def month_of(zone_name: str, now: datetime) -> Month:
    """The month of `now` in a zone; in UTC where this gateway no longer knows the zone."""
    try:
        here = zone(zone_name)
    except InvalidInput:
        here = ZoneInfo("UTC")
    first = now.astimezone(here).date().replace(day=1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return Month(f"{first:%Y-%m}", first_instant(here, first), first_instant(here, following))
