"""A round over the schedules that are due: each gets one decision, stored with its run in one transaction.

The row of a schedule is locked while its firing is made, and the firing is unique: two gateways, a crash in the middle
or a clock that jumps make no second run. Nothing here asks the network.
"""

import asyncio
import logging
import uuid
from collections import defaultdict
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.budgets.admission import EVENT as BUDGET_EVENT
from gateway.budgets.ledger import Ledger, ledgers
from gateway.db.lease import later
from gateway.db.session import Database
from gateway.errors import InvalidInput
from gateway.runs.moves import record
from gateway.runs.rows import Run
from gateway.runs.states import LIVE
from gateway.schedules.budget import counted, refusal
from gateway.schedules.case import Case, Decision, Open, Planned, paused
from gateway.schedules.decision import decide
from gateway.schedules.expression import read
from gateway.schedules.happenings import happening
from gateway.schedules.repeat import Made, Room, columns, insert_all, room, store
from gateway.schedules.rows import Firing, Schedule
from gateway.schedules.standing import Facts, Problem, Scheduled, facts_of, with_facts
from gateway.schedules.timing import Timing, zone
from gateway.schedules.words import CRON, Reason
from gateway.settings import Settings
from gateway.subscriptions.telling import tell

log = logging.getLogger(__name__)
AT_ONCE = 250
"""Schedules of one transaction: a writer before others waits about as long as for one request."""
MANY_ALIKE = 10
"""Rows with the same values, from which one statement of their own pays."""
AGAIN = timedelta(seconds=60)
"""After a fault in a schedule; the others go on."""

_FIRING = tuple(field.name for field in fields(Planned) if field.name != "is_new")
Due = list[tuple[Scheduled, Facts]]


@dataclass(frozen=True, slots=True)
class Round:
    """What a round did."""

    made: int = 0
    """Runs, which the engine may take at once."""
    more: bool = False
    """Whether something is due that it left."""


async def go(db: Database, settings: Settings) -> Round:
    """Repeatable, and safe beside other gateways. With nothing due it costs one query over an index."""
    async with db.reading() as session:
        due = select(Schedule.id).where(Schedule.due_at <= clock.now()).order_by(Schedule.due_at).limit(AT_ONCE)
        ids = list(await session.scalars(due))
    if not ids:
        return Round()
    # Two, where there is enough to do: one decides while the database works for the other.
    both = [_transaction(db, settings) for _ in range(2 if len(ids) == AT_ONCE else 1)]
    done = await asyncio.gather(*both, return_exceptions=True)
    made = sum(one.made for one in done if isinstance(one, Round))
    faults = [one for one in done if isinstance(one, BaseException)]
    if not faults:
        return Round(made, more=any(one.more for one in done if isinstance(one, Round)))
    log.error("a round over %d schedules failed; each is tried by itself", len(ids), exc_info=faults[0])
    return Round(made + sum([await _alone(db, settings, schedule_id) for schedule_id in ids]), more=True)


async def _alone(db: Database, settings: Settings, schedule_id: uuid.UUID) -> int:
    """A fault of one schedule does not hold up the others."""
    try:
        return (await _transaction(db, settings, schedule_id)).made
    except Exception as error:
        if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError):
            raise
        log.exception("the schedule %s could not be looked at", schedule_id)
    async with db.transaction() as session:
        later_on = update(Schedule).where(Schedule.id == schedule_id, Schedule.due_at.is_not(None))
        await session.execute(later_on.values(due_at=clock.now() + AGAIN))
    return 0


async def _transaction(db: Database, settings: Settings, only: uuid.UUID | None = None) -> Round:
    """The first of those that are due and that no other gateway has locked, or this one."""
    async with db.transaction() as session:
        if not db.is_sqlite:
            # In the order as written: to look for a better one takes longer than the query.
            await session.execute(text("SET LOCAL join_collapse_limit = 1"))
        now = clock.now()
        statement = with_facts().where(Schedule.due_at <= now).order_by(Schedule.due_at).limit(AT_ONCE)
        if only is not None:
            statement = statement.where(Schedule.id == only)
        claimed = await session.execute(statement.with_for_update(of=Schedule, skip_locked=True))
        due = [facts_of(row) for row in claimed]
        decisions = await _decide(session, settings, due, now) if due else []
        await apply(session, decisions)
        return Round(sum(decision.fires for decision, _ in decisions), more=bool(due))


async def _decide(session: AsyncSession, settings: Settings, due: Due, now: datetime) -> list[tuple[Decision, Facts]]:
    by_id = [schedule.id for schedule, _ in due]
    open_of, known = await _open(session, by_id), await _known(session, due)
    left = await room(session, settings, {s.run_as for s, _ in due}, {s.project_id for s, _ in due})
    guarded = {schedule.project_id for schedule, facts in due if facts.guarded}
    books = await ledgers(session, guarded) if guarded else {}
    return [
        (
            _one(
                schedule,
                facts,
                open_of[schedule.id],
                known[schedule.id],
                left,
                books.get(schedule.project_id),
                settings,
                now,
            ),
            facts,
        )
        for schedule, facts in sorted(due, key=lambda pair: (pair[0].due_at or now, pair[0].id))
    ]


def _one(
    schedule: Scheduled,
    facts: Facts,
    open_firings: list[Open],
    known: set[datetime],
    left: Room,
    ledger: Ledger | None,
    settings: Settings,
    now: datetime,
) -> Decision:
    try:
        timing = timing_of(schedule)
    except InvalidInput as error:
        return Decision(schedule, values=paused(Problem(Reason.TIME_UNKNOWN, error.message)))
    owner = schedule.run_as, schedule.project_id
    case = Case(schedule, facts, open_firings, timing, now, settings, left.is_there(*owner), refusal(ledger, facts))
    decision = decide(case, known)
    if decision.fires:
        left.take(*owner)
    if ledger is not None:
        counted(decision, ledger, facts, case.refusal)
    return decision


def timing_of(schedule: Schedule | Scheduled) -> Timing:
    """Raises InvalidInput when this gateway no longer knows the zone or the expression."""
    return Timing(read(schedule.expression), zone(schedule.zone), schedule.starts_at, schedule.ends_at)


async def _open(session: AsyncSession, ids: list[uuid.UUID]) -> dict[uuid.UUID, list[Open]]:
    found: dict[uuid.UUID, list[Open]] = defaultdict(list)
    query = select(*(getattr(Firing, name) for name in _FIRING), Run.state)
    query = query.join(Run, Run.id == Firing.run_id, isouter=True).where(Firing.schedule_id.in_(ids), Firing.open)
    for *row, state in await session.execute(query):
        firing = Planned(*row)
        found[firing.schedule_id].append(Open(firing, state))
    return found


async def _known(session: AsyncSession, due: Due) -> dict[uuid.UUID, set[datetime]]:
    """Nominal times that have a firing already: an edit or a clock that went back may come to them again."""
    found: dict[uuid.UUID, set[datetime]] = defaultdict(set)
    times = {schedule.next_at for schedule, _ in due if schedule.next_at is not None}
    here = Firing.schedule_id.in_([s.id for s, _ in due]), Firing.kind == CRON, Firing.nominal_at.in_(times)
    for schedule_id, nominal_at in await session.execute(select(Firing.schedule_id, Firing.nominal_at).where(*here)):
        found[schedule_id].add(nominal_at)
    return found


async def apply(session: AsyncSession, decisions: list[tuple[Decision, Facts]]) -> None:
    """Store decisions, in the order that the references between the tables ask for: runs, firings, schedules."""
    made = []
    for decision, facts in decisions:
        if decision.fires and decision.firing is not None:
            schedule, firing = decision.schedule, decision.firing
            run = columns(schedule, facts, firing, zone(schedule.zone), created_by=schedule.run_as)
            made.append(Made(schedule, firing, run))
    await store(session, made)
    firings = [decision.firing for decision, _ in decisions if decision.firing is not None]
    await insert_all(session, Firing, [row_of(firing) for firing in firings if firing.is_new])
    changes = [(firing.id, row_of(firing)) for firing in firings if not firing.is_new]
    changes += [(firing_id, {"open": False}) for decision, _ in decisions for firing_id in decision.closed]
    await _update_all(session, Firing, changes)
    await _update_all(session, Schedule, [(d.schedule.id, d.values) for d, _ in decisions if d.values])
    for decision, _ in decisions:
        if "state" in decision.values:
            _tell(session, decision)
        for run_id in decision.cancelled:
            await _cancel(session, decision.schedule, run_id)
        if decision.warning and decision.firing is not None and decision.firing.run_id is not None:
            record(session, decision.firing.run_id, BUDGET_EVENT, decision.warning)
    told = [told for one in decisions if (told := happening(*one)) is not None]
    await tell(session, [*told, *(one for decision, _ in decisions for one in decision.told)])


def row_of(firing: Planned) -> dict[str, Any]:
    """Its columns."""
    return {name: getattr(firing, name) for name in _FIRING}


async def _update_all(session: AsyncSession, table: Any, changes: list[tuple[uuid.UUID, dict[str, Any]]]) -> None:
    """One statement for all rows that get the same values, one for the others that get the same columns."""
    connection, rows = await session.connection(), table.__table__
    same: dict[tuple[tuple[str, Any], ...], list[uuid.UUID]] = defaultdict(list)
    for row_id, values in changes:
        same[tuple(values.items())].append(row_id)
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for items, ids in same.items():
        if len(ids) >= MANY_ALIKE:
            await connection.execute(update(rows).where(rows.c.id.in_(ids)).values(dict(items)))
        else:
            changed = {f"new_{name}": value for name, value in items}
            alike[tuple(name for name, _ in items)] += [changed | {"row": row_id} for row_id in ids]
    for names, parameters in alike.items():
        statement = update(rows).where(rows.c.id == bindparam("row"))
        await connection.execute(statement.values({name: bindparam(f"new_{name}") for name in names}), parameters)


def _tell(session: AsyncSession, decision: Decision) -> None:
    values = {name: str(decision.values[name]) for name in ("state", "reason")}
    audit(session, None, "schedule.stop", "schedule", decision.schedule.id, **values)


async def _cancel(session: AsyncSession, schedule: Scheduled, run_id: uuid.UUID) -> None:
    """As its owner would; an intent that is there already stays."""
    asked = await session.execute(
        update(Run)
        .where(Run.id == run_id, Run.cancel_requested_at.is_(None), Run.state.in_(LIVE))
        .values(cancel_requested_at=clock.now(), cancel_requested_by=schedule.run_as, due_at=later(session, 0))
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    )
    if asked.one_or_none() is not None:
        text = f"Cancel requested: the schedule {schedule.name} fires again."
        record(session, run_id, "intent", text, {"scheduleId": str(schedule.id)}, on_behalf_of=schedule.run_as)
        audit(session, None, "run.cancel", "run", run_id, schedule=str(schedule.id))
