"""What a schedule would do: its next firings in its zone and in UTC, and what clock changes do to them."""

import uuid
from datetime import datetime

from gateway import clock
from gateway.db.session import Database
from gateway.schedules.access import load, may_see
from gateway.schedules.description import words
from gateway.schedules.expression import normalized
from gateway.schedules.rounds import timing_of
from gateway.schedules.timing import Timing, changes, first, note, timing
from gateway.schedules.views import in_zone
from gateway.schemas.schedules import PreviewedFiring, SchedulePreview
from gateway.users.caller import Caller


async def of_schedule(
    db: Database, caller: Caller, project_id: uuid.UUID, schedule_id: uuid.UUID, count: int
) -> SchedulePreview:
    """As if it were active."""
    async with db.reading() as session:
        await may_see(session, caller, project_id)
        schedule = await load(session, project_id, schedule_id)
    return _preview(schedule.expression, timing_of(schedule), count)


async def of_expression(
    db: Database,
    caller: Caller,
    project_id: uuid.UUID,
    expression: str,
    zone_name: str,
    dates: tuple[str | None, str | None],
    count: int,
) -> SchedulePreview:
    """Before anything is saved. Raises InvalidInput that names the field."""
    async with db.reading() as session:
        await may_see(session, caller, project_id)
    return _preview(expression, timing(expression, zone_name, *dates), count)


def _preview(expression: str, when: Timing, count: int) -> SchedulePreview:
    now = clock.now()
    found = first(when, now, count)
    name = when.zone.key
    return SchedulePreview(
        cron_expression=normalized(expression),
        in_words=words(expression),
        time_zone=name,
        firings=[PreviewedFiring(at=at, local=in_zone(at, name), note=note(when, at)) for at in found],
        clock_changes=changes(when.zone, now, found[-1]) if found else [],
        ends=None if len(found) == count else _end(when, now),
    )


def _end(when: Timing, now: datetime) -> str:
    if when.ends_at is not None:
        return "The end date has passed." if when.ends_at < now else "The end date comes before the next time."
    return "No time is left."
