"""Schedules as they are saved: made or replaced, checked against what the caller may use."""

import uuid
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.connections.rows import Connection
from gateway.db.session import Database
from gateway.errors import Conflict, InvalidInput
from gateway.projects.access import require
from gateway.repositories.rows import CodeRepository
from gateway.runs.rows import Run
from gateway.schedules.access import check_account, load, may_stop, own_connection, the_run
from gateway.schedules.case import paused
from gateway.schedules.expression import normalized
from gateway.schedules.rows import Schedule
from gateway.schedules.standing import consent_sentence
from gateway.schedules.stops import begun, drop_waiting, paused_by, set_all
from gateway.schedules.timing import timing
from gateway.schedules.views import views
from gateway.schedules.words import ScheduleState
from gateway.schemas.schedules import CreateSchedule, ScheduleView
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
            schedule = Schedule(project_id=project_id, created_by=caller.user_id, failures=0, **columns, **begun(when))
            if not body.enabled:
                set_all(schedule, paused(paused_by(caller)))
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
            set_all(schedule, columns | begun(when))
            if not body.enabled:
                set_all(schedule, paused(paused_by(caller)))
                await drop_waiting(session, schedule)
            elif was_paused:
                schedule.failures = 0
            _refuse_ended(schedule, body)
            if body.enabled:
                schedule.due_at = clock.now()  # a firing may wait
            await session.flush()
            audit(session, caller, "schedule.change", "schedule", schedule.id, name=body.name, run=str(body.run_id))
            return (await views(session, [schedule]))[0]
    except IntegrityError:
        raise _taken(body.name) from None


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


def _refuse_ended(schedule: Schedule, body: CreateSchedule) -> None:
    if schedule.state == ScheduleState.ENDED or (schedule.next_at is None and body.enabled):
        raise InvalidInput(f"endDate: {body.end_date} leaves no time at which it fires. Give a later one.")


def _taken(name: str) -> Conflict:
    return Conflict(f"name: this project has a schedule {name!r} already; choose another name.")
