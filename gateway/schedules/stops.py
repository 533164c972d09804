"""How a schedule begins and stops: the columns that change together."""

from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.schedules.rows import Firing, Schedule
from gateway.schedules.standing import Problem
from gateway.schedules.timing import TICK, Timing
from gateway.schedules.words import FiringState, Reason, ScheduleState
from gateway.users.caller import Caller


def begun(when: Timing) -> dict[str, Any]:
    """Times and state of a schedule that fires from now on."""
    now = clock.now()
    next_at = when.following(now)
    values: dict[str, Any] = {"starts_at": when.starts_at, "ends_at": when.ends_at, "next_at": next_at}
    values |= {"reason": None, "message": None, "late_from": None, "late_until": None, "state": ScheduleState.ACTIVE}
    if next_at is not None:
        return values | {"due_at": next_at}
    if when.ends_at is not None and when.ends_at >= now:
        return values | {"due_at": when.ends_at + TICK}
    reason = Reason.END_DATE if when.ends_at is not None else Reason.NO_MORE
    return values | {"due_at": None, "state": ScheduleState.ENDED, "reason": reason}


def set_all(schedule: Schedule, values: dict[str, Any]) -> None:
    """Set columns of a row."""
    for name, value in values.items():
        setattr(schedule, name, value)


def paused_by(caller: Caller) -> Problem:
    """Why a schedule stands still that somebody paused."""
    return Problem(Reason.BY_USER, f"Paused by {caller.name}.")


async def drop_waiting(session: AsyncSession, schedule: Schedule) -> None:
    """A firing that waits is SKIPPED."""
    text = "The schedule was paused."
    values = {"state": FiringState.SKIPPED, "reason": Reason.PAUSED, "text": text, "open": False}
    waits = Firing.schedule_id == schedule.id, Firing.open, Firing.state == FiringState.WAITING
    await session.execute(update(Firing).where(*waits).values(**values))
