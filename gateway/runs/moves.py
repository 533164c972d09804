"""The one function that moves a run, and the events and conditions beside it: all in the caller's transaction."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, case, delete, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.reasons import Reason
from gateway import clock
from gateway.budgets.settling import NOTHING, UNKNOWN
from gateway.db.lease import later
from gateway.runs.lease import RunLease, held_by
from gateway.runs.rows import Condition, Event, Run
from gateway.runs.states import FINAL, NO_CONTACT, REPORTED_TRANSITIONS, TRANSITIONS, ConditionName, State
from gateway.subscriptions.words import EventName
from gateway.users.caller import Caller

_ENTERED = {
    State.PREPARING: Run.prepared_at,
    State.SUBMITTING: Run.submitted_at,
    State.QUEUED: Run.queued_at,
    State.RUNNING: Run.started_at,
}


_BEFORE_THE_SITE = frozenset({State.PREPARING, State.SUBMITTING})
"""MLflow is told nothing of these: its run is made when the job is queued, or by the job's first call."""
_BEFORE_A_JOB = frozenset({State.CREATED, *_BEFORE_THE_SITE})
"""A run that ends in one of these, and is not LOST, cost nothing."""
_OF_CONDITIONS: Mapping[ConditionName, EventName] = {ConditionName.NEEDS_LOGIN: EventName.NEEDS_LOGIN}
"""What subscribers are told of a condition that is new."""
QUEUED_TOLD_AFTER = 2.0
"""A job that starts at once is told of once; and many that are submitted together reach the site first."""


class IllegalMove(Exception):
    """A programming error: the transition table has no such move."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where a run goes, why, and how that is known."""

    to: State
    text: str
    evidence: Mapping[str, Any]
    reason: Reason | None = None
    exit_code: int | None = None
    at: datetime | None = None
    """When it happened on the site, if the site says; now otherwise."""


async def move(
    session: AsyncSession,
    run: Run,
    to: Move,
    *,
    guard: ColumnElement[bool] | None = None,
    caller: Caller | None = None,
    **values: Any,
) -> bool:
    """Move `run` as it was loaded; False, and nothing changed, when it is no longer in that state or the guard fails.

    `run` itself stays as it was: whether the move stands is known at the end of the transaction, and who goes on reads
    it anew. Writes the event in the same transaction. `values` are further columns of the row."""
    source = State(run.state)
    _check(run, source, to)
    changed = await session.execute(
        update(Run)
        .where(Run.id == run.id, Run.state == source, guard if guard is not None else true())
        .values(**values, **_values(session, source, to))
        .execution_options(synchronize_session=False)
    )
    assert isinstance(changed, CursorResult)  # noqa: S101  what an UPDATE returns
    if changed.rowcount == 0:
        return False
    told = _untold(to)
    record(session, run.id, "state", to.text, dict(to.evidence), source=source, to=to.to, caller=caller, untold=told)
    return True


async def move_on(
    session: AsyncSession, held: Sequence[tuple[Run, RunLease, Move]], *, give_back: bool = False, **values: Any
) -> dict[uuid.UUID, datetime | None]:
    """Move runs under our lease, all from one state to one other on the way to the site, as `move` does each.

    Returns those that were moved, and when their cancel was requested. `give_back` their leases too: the engine looks
    at them again when something is due, as a cancel is."""
    source, target = State(held[0][0].state), held[0][2].to
    if target in FINAL or any((run.state, to.to) != (source, target) for run, _, to in held):
        raise IllegalMove("only runs that go the same way, and not to their end, are moved together")
    for run, _, to in held:
        _check(run, source, to)
    if give_back:
        wanted = case((Run.cancel_requested_at.is_not(None), later(session, 0)), else_=Run.due_at)
        values |= {"lease_owner": None, "lease_until": None, "due_at": wanted}
    # Locked in the order of their ids, as by others that change many.
    such = (held_by([lease for _, lease, _ in held]), Run.state == source)
    mine = select(Run.id).where(*such).order_by(Run.id).with_for_update().cte()
    changed = await session.execute(
        update(Run)
        .where(Run.id.in_(select(mine.c.id)), *such)
        .values(**values, **_values(session, source, held[0][2]))
        .returning(Run.id, Run.cancel_requested_at)
        .execution_options(synchronize_session=False)
    )
    moved = {row.id: row.cancel_requested_at for row in changed}
    for run, _, to in held:
        if run.id in moved:
            record(session, run.id, "state", to.text, dict(to.evidence), source=source, to=target)
    return moved


def _values(session: AsyncSession, source: State, to: Move) -> dict[str, Any]:
    now = clock.now()
    values: dict[str, Any] = {"state": to.to, "failures": 0}
    column = _ENTERED.get(to.to)
    if column is not None:
        values[column.key] = to.at or now
    if to.to in FINAL:
        values |= {
            "ended_at": to.at or now,
            "message": _storable(to.text),
            "exit_code": to.exit_code,
            "reason": to.reason,
        }
        if source in _BEFORE_A_JOB and to.reason != Reason.LOST:
            values |= NOTHING
    elif source in FINAL:
        values |= {"ended_at": None, "message": None, "exit_code": None, "reason": None, **UNKNOWN}
    return values | _tracking(session, to.to)


def _tracking(session: AsyncSession, to: State) -> dict[str, ColumnElement[datetime]]:
    """When MLflow is told, by the database's clock as all that is due."""
    if to in _BEFORE_THE_SITE:
        return {}
    return {"tracking_due_at": later(session, QUEUED_TOLD_AFTER if to is State.QUEUED else 0)}


def _check(run: Run, source: State, to: Move) -> None:
    table = REPORTED_TRANSITIONS if run.origin == "reported" else TRANSITIONS
    if to.to not in table[source]:
        raise IllegalMove(f"{source} -> {to.to}")
    if source is State.FAILED and run.origin != "reported" and run.reason != Reason.LOST:
        raise IllegalMove(f"{source} ({run.reason}) -> {to.to}")
    if (to.to in (State.FAILED, State.CANCELLED)) != (to.reason is not None) and run.origin != "reported":
        raise IllegalMove(f"{to.to} with the reason {to.reason}")


def _untold(to: Move) -> EventName | None:
    """What subscribers are told of a move."""
    if to.to is not State.FAILED:
        return None
    return EventName.RUN_LOST if to.reason == Reason.LOST else EventName.RUN_FAILED


def _storable(text: str) -> str:
    """PostgreSQL stores no NUL, and a site may print one."""
    return text.replace("\0", "\ufffd")[:4000]


def record(
    session: AsyncSession,
    run_id: uuid.UUID,
    kind: str,
    text: str,
    evidence: dict[str, Any] | None = None,
    *,
    source: State | None = None,
    to: State | None = None,
    caller: Caller | None = None,
    on_behalf_of: uuid.UUID | None = None,
    untold: EventName | None = None,
) -> None:
    """Append an event; without a caller the gateway itself is the actor. `untold`: subscribers are told of it later,
    which costs this transaction nothing."""
    session.add(
        Event(
            run_id=run_id,
            time=clock.now(),
            kind=kind,
            from_state=source,
            to_state=to,
            text=_storable(text),
            evidence={k: _storable(v) if isinstance(v, str) else v for k, v in (evidence or {}).items()},
            actor_id=caller.user_id if caller else None,
            token_id=caller.token_id if caller else None,
            on_behalf_of=on_behalf_of,
            untold=untold,
        )
    )


async def set_condition(session: AsyncSession, run_id: uuid.UUID, name: ConditionName, text: str) -> None:
    """Show a condition; `since` stays when it is there already, and an event is written only when it is new.

    `since` is the database's clock, so that what rests on its age is the same for every gateway."""
    await set_conditions(session, {run_id: text}, name)


async def set_conditions(session: AsyncSession, texts: Mapping[uuid.UUID, str], name: ConditionName) -> None:
    """As `set_condition`, of many runs."""
    if not texts:
        return
    rows = await session.scalars(select(Condition).where(Condition.run_id.in_(texts), Condition.name == name))
    there = {row.run_id: row for row in rows}
    for row in there.values():
        if row.text != _storable(texts[row.run_id]):
            row.text = _storable(texts[row.run_id])
    new = [run_id for run_id in texts if run_id not in there]
    if not new:
        return
    now = later(session, 0)
    made = [{"run_id": i, "name": name, "since": now, "text": _storable(texts[i])} for i in new]
    await session.execute(insert(Condition).values(made))
    for run_id in new:
        record(session, run_id, "condition", f"{name}: {texts[run_id]}", untold=_OF_CONDITIONS.get(name))


async def no_contact(session: AsyncSession, run_id: uuid.UUID, name: ConditionName, text: str) -> None:
    """Show why the site cannot be asked: LOST_CONTACT or NEEDS_LOGIN, never both, since the first of them."""
    others = (Condition.run_id == run_id, Condition.name.in_(NO_CONTACT - {name}))
    there = await session.scalar(select(Condition).where(Condition.run_id == run_id, Condition.name == name))
    if there is None:
        turned = await session.scalar(update(Condition).where(*others).values(name=name).returning(Condition.name))
        if turned is not None:
            record(session, run_id, "condition", f"{name}: {text}", untold=_OF_CONDITIONS.get(name))
    await set_condition(session, run_id, name, text)


async def shown_for(
    session: AsyncSession, run_ids: Sequence[uuid.UUID], seconds: float, *names: ConditionName
) -> set[uuid.UUID]:
    """Those of the runs that show one of the conditions for at least so many seconds, by the database's clock."""
    rows = await session.scalars(
        select(Condition.run_id).where(
            Condition.run_id.in_(run_ids), Condition.name.in_(names), Condition.since <= later(session, -seconds)
        )
    )
    return set(rows)


async def clear_conditions(session: AsyncSession, run_id: uuid.UUID, *names: ConditionName) -> None:
    """Take conditions away; an event says which were there."""
    await clear_conditions_of(session, [run_id], *names)


async def clear_conditions_of(session: AsyncSession, run_ids: Collection[uuid.UUID], *names: ConditionName) -> None:
    """As `clear_conditions`, of many runs."""
    if not run_ids:
        return
    shown = (Condition.run_id.in_(run_ids), Condition.name.in_(names))
    gone = await session.execute(delete(Condition).where(*shown).returning(Condition.run_id, Condition.name))
    for run_id, name in gone.all():
        record(session, run_id, "condition", f"{name} ended")
