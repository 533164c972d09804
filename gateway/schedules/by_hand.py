"""Firing by hand: a run now, whatever the time, the overlap policy or the state of the schedule say."""

import uuid
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.budgets.admission import Asked, Refused, admit, note, tell_refusal
from gateway.db.session import Database
from gateway.errors import Conflict, InvalidInput, TooMany
from gateway.projects.access import require
from gateway.runs.rows import IdempotencyKey
from gateway.schedules.access import check_account, load, own_connection, the_run
from gateway.schedules.case import Planned
from gateway.schedules.repeat import Made, columns, insert_all, room, store
from gateway.schedules.rounds import row_of, timing_of
from gateway.schedules.rows import Firing, Schedule
from gateway.schedules.standing import facts_of, login_problem, standing_problem, with_facts
from gateway.schedules.timing import TICK
from gateway.schedules.views import firing_views
from gateway.schedules.words import MANUAL, FiringState
from gateway.schemas.schedules import FireNow, FiringView
from gateway.settings import Settings
from gateway.users.caller import Caller


async def fire_now(
    db: Database,
    settings: Settings,
    caller: Caller,
    project_id: uuid.UUID,
    schedule_id: uuid.UUID,
    body: FireNow,
    *,
    key: str | None,
) -> FiringView:
    """One run; the same key gets the same firing. Raises Conflict with what stands against it, TooMany."""
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "researcher")
            schedule = await load(session, project_id, schedule_id, lock=True)
            firing = await _earlier(session, caller, schedule, key)
            if firing is None:
                firing = await _fire(session, settings, caller, schedule, body)
                _remember(session, caller, schedule, firing, key)
            await session.flush()
            return (await firing_views(session, schedule, [firing]))[0]
    except Refused as refused:
        await tell_refusal(db, refused)
        raise refused.verdict.error() from None


async def _fire(session: AsyncSession, settings: Settings, caller: Caller, schedule: Schedule, body: FireNow) -> Firing:
    found = await session.execute(with_facts().where(Schedule.id == schedule.id))
    scheduled, facts = facts_of(found.one())
    own = caller.user_id == schedule.run_as and body.connection_id is None
    account = body.compute_budget_account or schedule.compute_budget_account
    if own:
        problem = standing_problem(scheduled, facts, settings) or login_problem(facts, clock.now())
        if problem is not None:
            raise Conflict(problem.text, next_step="See `mantik schedules describe`.")
        connection_id, site_id = schedule.connection_id, facts.site_id
    else:
        run = await the_run(session, schedule.project_id, schedule.run_id, follow=schedule.follow_branch)
        connection = await own_connection(session, settings, caller, run, body.connection_id)
        check_account(account, connection)
        connection_id, site_id = connection.id, connection.site_id
    await _check_room(session, settings, caller, schedule)
    planned = _planned(schedule, caller, await _free_instant(session, schedule))
    row = columns(scheduled, facts, planned, timing_of(schedule).zone, created_by=caller.user_id)
    row |= {"run_as": caller.user_id, "connection_id": connection_id, "site_id": site_id}
    wanted = Asked(row["id"], schedule.project_id, row["name"], caller.user_id)
    admitted = await admit(session, wanted, facts.worst) if facts.guarded else None
    await store(session, [Made(scheduled, planned, row | {"compute_budget_account": account}, caller)])
    await insert_all(session, Firing, [row_of(planned)])
    if admitted is not None:
        await note(session, wanted, admitted)
    audit(session, caller, "schedule.fire", "schedule", schedule.id, run=str(planned.run_id))
    return await session.get_one(Firing, planned.id)


async def _check_room(session: AsyncSession, settings: Settings, caller: Caller, schedule: Schedule) -> None:
    left = await room(session, settings, {caller.user_id}, {schedule.project_id})
    if not left.is_there(caller.user_id, schedule.project_id):
        raise TooMany("You or the project have too many live runs.", next_step="Wait for some to end, or cancel them.")


async def _free_instant(session: AsyncSession, schedule: Schedule) -> datetime:
    """Now, or just after the last firing by hand where a clock stands still or went back."""
    last = select(func.max(Firing.nominal_at)).where(Firing.schedule_id == schedule.id, Firing.kind == MANUAL)
    latest: datetime | None = await session.scalar(last)
    now = clock.now()
    return now if latest is None or latest < now else latest + TICK


def _planned(schedule: Schedule, caller: Caller, nominal_at: datetime) -> Planned:
    return Planned(
        id=uuid.uuid4(),
        created_at=clock.now(),
        schedule_id=schedule.id,
        kind=MANUAL,
        nominal_at=nominal_at,
        state=FiringState.FIRED,
        reason=None,
        text="",
        run_id=None,
        made_by=caller.user_id,
        open=True,
    )


async def _earlier(session: AsyncSession, caller: Caller, schedule: Schedule, key: str | None) -> Firing | None:
    if key is None:
        return None
    if not 1 <= len(key) <= 200:
        raise InvalidInput("Idempotency-Key must have 1 to 200 characters.")
    row = await session.get(IdempotencyKey, (caller.user_id, _route(schedule), key))
    return await session.get(Firing, row.object_id) if row is not None else None


def _remember(session: AsyncSession, caller: Caller, schedule: Schedule, firing: Firing, key: str | None) -> None:
    if key is None:
        return
    row = IdempotencyKey(user_id=caller.user_id, route=_route(schedule), key=key, body_sha256="", object_id=firing.id)
    row.created_at = clock.now()
    session.add(row)


def _route(schedule: Schedule) -> str:
    return f"POST /schedules/{schedule.id}/fire-now"
