"""Schedules of a project: made, listed, shown, changed, paused, resumed, deleted."""

import uuid
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.connections.rows import Connection
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden, InvalidInput
from gateway.projects.access import require
from gateway.repositories.rows import CodeRepository
from gateway.runs.rows import Run
from gateway.schedules.access import check_account, load, may_see, may_stop, own_connection, the_run
from gateway.schedules.decision import paused
from gateway.schedules.expression import normalized
from gateway.schedules.rounds import timing_of
from gateway.schedules.rows import Firing, Schedule
from gateway.schedules.standing import Problem, consent_sentence, facts_of, standing_problem, with_facts
from gateway.schedules.timing import TICK, Timing, timing
from gateway.schedules.views import firing_views, views
from gateway.schedules.words import FiringState, Reason, ScheduleState
from gateway.schemas.schedules import CreateSchedule, FiringView, ScheduleView
from gateway.schemas.wire import Page
from gateway.settings import Settings
from gateway.users.caller import Caller


async def create(
    db: Database, settings: Settings, caller: Caller, project_id: uuid.UUID, body: CreateSchedule
) -> ScheduleView:
    """Raises InvalidInput that names the field, Conflict for a name that is taken."""
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "researcher")
            when = timing(body.cron_expression, body.time_zone, body.start_date, body.end_date)
            columns = await _columns(session, settings, caller, project_id, body)
            schedule = Schedule(project_id=project_id, created_by=caller.user_id, failures=0, **columns, **_begun(when))
            if not body.enabled:
                _set(schedule, paused(_by(caller)))
            _refuse_ended(schedule, body)
            session.add(schedule)
            await session.flush()
            audit(session, caller, "schedule.create", "schedule", schedule.id, name=body.name, run=str(body.run_id))
            return (await views(session, [schedule]))[0]
    except IntegrityError:
        raise _taken(body.name) from None


async def change(
    db: Database,
    settings: Settings,
    caller: Caller,
    project_id: uuid.UUID,
    schedule_id: uuid.UUID,
    body: CreateSchedule,
) -> ScheduleView:
    """Replace it for the future; from now on it runs with a connection of the caller. Firings of the past stay."""
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "researcher")
            schedule = await load(session, project_id, schedule_id, lock=True)
            await may_stop(session, caller, schedule)
            when = timing(body.cron_expression, body.time_zone, body.start_date, body.end_date)
            columns = await _columns(session, settings, caller, project_id, body)
            was_paused = schedule.state == ScheduleState.PAUSED
            _set(schedule, columns | _begun(when))
            if not body.enabled:
                _set(schedule, paused(_by(caller)))
                await _drop_waiting(session, schedule)
            elif was_paused:
                schedule.failures = 0
            _refuse_ended(schedule, body)
            await session.flush()
            audit(session, caller, "schedule.change", "schedule", schedule.id, name=body.name, run=str(body.run_id))
            return (await views(session, [schedule]))[0]
    except IntegrityError:
        raise _taken(body.name) from None


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
        _set(schedule, paused(_by(caller)))
        await _drop_waiting(session, schedule)
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
            _set(schedule, paused(_by(caller)))
            await _drop_waiting(session, schedule)
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
            _set(schedule, _begun(timing_of(schedule)) | {"failures": 0})
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


async def _columns(
    session: AsyncSession, settings: Settings, caller: Caller, project_id: uuid.UUID, body: CreateSchedule
) -> dict[str, Any]:
    """What the caller asks for, checked against what the caller may use."""
    run = await the_run(session, project_id, body.run_id, follow=body.follow_branch)
    connection = await own_connection(session, settings, caller, run, body.connection_id)
    account = body.compute_budget_account or run.compute_budget_account
    check_account(account, connection)
    return {
        "name": body.name,
        "run_as": caller.user_id,
        "run_id": run.id,
        "connection_id": connection.id,
        "compute_budget_account": account,
        "follow_branch": body.follow_branch,
        "consent": await _consent(session, caller, body, run, connection, account),
        "expression": normalized(body.cron_expression),
        "zone": body.time_zone,
        "start_given": body.start_date,
        "end_given": body.end_date,
        "overlap": body.overlap_policy,
        "misfire": body.misfire_policy,
        "misfire_most": body.misfire_most,
        "grace_seconds": body.grace_seconds,
        "max_failures": body.max_failures,
        "changed_at": clock.now(),
    }


async def _consent(
    session: AsyncSession,
    caller: Caller,
    body: CreateSchedule,
    run: Run,
    connection: Connection,
    account: str | None,
) -> dict[str, str] | None:
    """Written by the owner of the connection, word for word. Raises InvalidInput that gives the words."""
    if not body.follow_branch:
        return None
    uri = await session.scalar(select(CodeRepository.uri).where(CodeRepository.id == run.code_repository_id))
    sentence = consent_sentence(run.branch, uri, connection.name, account)
    if (body.follow_branch_consent or "").strip() != sentence:
        raise InvalidInput(
            f"followBranchConsent: to let the schedule follow the branch, give this sentence: {sentence}"
        )
    return {"text": sentence, "at": clock.now().isoformat(), "by": str(caller.user_id)}


def _begun(when: Timing) -> dict[str, Any]:
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


def _refuse_ended(schedule: Schedule, body: CreateSchedule) -> None:
    if schedule.state == ScheduleState.ENDED or (schedule.next_at is None and body.enabled):
        raise InvalidInput(f"endDate: {body.end_date} leaves no time at which it fires. Give a later one.")


def _set(schedule: Schedule, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(schedule, name, value)


def _by(caller: Caller) -> Problem:
    return Problem(Reason.BY_USER, f"Paused by {caller.name}.")


async def _drop_waiting(session: AsyncSession, schedule: Schedule) -> None:
    text = "The schedule was paused."
    values = {"state": FiringState.SKIPPED, "reason": Reason.PAUSED, "text": text, "open": False}
    waits = Firing.schedule_id == schedule.id, Firing.open, Firing.state == FiringState.WAITING
    await session.execute(update(Firing).where(*waits).values(**values))


async def _forget_ends(session: AsyncSession, schedule: Schedule) -> None:
    """Failures of before do not count against a schedule that was resumed; live runs are still seen as such."""
    ended = select(Run.id).where(Run.id == Firing.run_id, Run.ended_at.is_not(None)).exists()
    await session.execute(
        update(Firing).where(Firing.schedule_id == schedule.id, Firing.open, ended).values(open=False)
    )


def _taken(name: str) -> Conflict:
    return Conflict(f"name: this project has a schedule {name!r} already; choose another name.")
