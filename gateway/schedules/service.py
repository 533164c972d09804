"""Schedules of a project: listed, shown, paused, resumed, deleted."""

import uuid

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden
from gateway.projects.access import require
from gateway.runs.rows import Run
from gateway.schedules.access import load, may_see, may_stop
from gateway.schedules.case import paused
from gateway.schedules.rounds import timing_of
from gateway.schedules.rows import Firing, Schedule
from gateway.schedules.standing import facts_of, standing_problem, with_facts
from gateway.schedules.stops import begun, drop_waiting, paused_by, set_all
from gateway.schedules.views import firing_views, views
from gateway.schedules.words import ScheduleState
from gateway.schemas.schedules import FiringView, ScheduleView
from gateway.schemas.wire import Page
from gateway.settings import Settings
from gateway.users.caller import Caller


async def listing(
    db: Database, caller: Caller, project_id: uuid.UUID, cursor: str | None, limit: int
) -> Page[ScheduleView]:
    """Newest first."""
    query = select(Schedule).where(Schedule.project_id == project_id, Schedule.deleted_at.is_(None))
    async with db.reading() as session:
        await may_see(session, caller, project_id)
        rows, following = await fetch(session, query, Schedule, cursor, limit)
        return Page[ScheduleView](items=await views(session, rows), next_cursor=following)


async def show(db: Database, caller: Caller, project_id: uuid.UUID, schedule_id: uuid.UUID) -> ScheduleView:
    async with db.reading() as session:
        await may_see(session, caller, project_id)
        return (await views(session, [await load(session, project_id, schedule_id)]))[0]


async def firings(
    db: Database, caller: Caller, project_id: uuid.UUID, schedule_id: uuid.UUID, cursor: str | None, limit: int
) -> Page[FiringView]:
    """The history, newest first: what was due, when it was decided, and the run or why there is none."""
    async with db.reading() as session:
        await may_see(session, caller, project_id)
        schedule = await load(session, project_id, schedule_id)
        query = select(Firing).where(Firing.schedule_id == schedule_id)
        rows, following = await fetch(session, query, Firing, cursor, limit)
        return Page[FiringView](items=await firing_views(session, schedule, rows), next_cursor=following)


async def remove(db: Database, caller: Caller, project_id: uuid.UUID, schedule_id: uuid.UUID) -> None:
    """Its runs and its history stay; its name is free again."""
    async with db.transaction() as session:
        await require(session, caller, project_id, "researcher")
        schedule = await load(session, project_id, schedule_id, lock=True)
        await may_stop(session, caller, schedule)
        set_all(schedule, paused(paused_by(caller)))
        await drop_waiting(session, schedule)
        schedule.deleted_at = clock.now()
        audit(session, caller, "schedule.delete", "schedule", schedule.id, name=schedule.name)
        schedule.name = f"{schedule.name} (deleted, {schedule.id.hex})"


async def pause(db: Database, caller: Caller, project_id: uuid.UUID, schedule_id: uuid.UUID) -> ScheduleView:
    """Repeatable. Live runs go on; a firing that waits is dropped."""
    async with db.transaction() as session:
        await require(session, caller, project_id, "researcher")
        schedule = await load(session, project_id, schedule_id, lock=True)
        await may_stop(session, caller, schedule)
        if schedule.state == ScheduleState.ENDED:
            raise Conflict("The schedule has ended.", next_step="Give it a later end date: mantik schedules edit")
        if schedule.state == ScheduleState.ACTIVE:
            set_all(schedule, paused(paused_by(caller)))
            await drop_waiting(session, schedule)
            audit(session, caller, "schedule.pause", "schedule", schedule.id)
        return (await views(session, [schedule]))[0]


async def resume(
    db: Database, settings: Settings, caller: Caller, project_id: uuid.UUID, schedule_id: uuid.UUID
) -> ScheduleView:
    """From now on; times that passed meanwhile are not made up for. Repeatable. Raises Conflict with what stands
    against it."""
    async with db.transaction() as session:
        await require(session, caller, project_id, "researcher")
        schedule = await load(session, project_id, schedule_id, lock=True)
        if caller.user_id != schedule.run_as:
            raise Forbidden(
                "It runs with another's connection, so that only its owner resumes it.",
                next_step="To take it over with a connection of your own: mantik schedules edit",
            )
        if schedule.state != ScheduleState.ACTIVE:
            await _nothing_against(session, settings, schedule)
            set_all(schedule, begun(timing_of(schedule)) | {"failures": 0})
            if schedule.state == ScheduleState.ENDED:
                raise Conflict("No time is left at which it fires.", next_step="Give it a later end date.")
            await _forget_ends(session, schedule)
            audit(session, caller, "schedule.resume", "schedule", schedule.id)
        return (await views(session, [schedule]))[0]


async def _nothing_against(session: AsyncSession, settings: Settings, schedule: Schedule) -> None:
    found = await session.execute(with_facts().where(Schedule.id == schedule.id))
    problem = standing_problem(*facts_of(found.one()), settings)
    if problem is not None:
        raise Conflict(problem.text, next_step="Change the schedule: mantik schedules edit")


async def _forget_ends(session: AsyncSession, schedule: Schedule) -> None:
    """Failures of before do not count against a schedule that was resumed; live runs are still seen as such."""
    ended = select(Run.id).where(Run.id == Firing.run_id, Run.ended_at.is_not(None)).exists()
    await session.execute(
        update(Firing).where(Firing.schedule_id == schedule.id, Firing.open, ended).values(open=False)
    )
