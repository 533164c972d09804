"""The one function that moves a run, and the events and conditions beside it: all in the caller's transaction."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, delete, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.reasons import Reason
from gateway import clock
from gateway.db.lease import later
from gateway.runs.rows import Condition, Event, Run
from gateway.runs.states import FINAL, NO_CONTACT, REPORTED_TRANSITIONS, TRANSITIONS, ConditionName, State
from gateway.users.caller import Caller

_ENTERED = {
    State.PREPARING: Run.prepared_at,
    State.SUBMITTING: Run.submitted_at,
    State.QUEUED: Run.queued_at,
    State.RUNNING: Run.started_at,
}


_BEFORE_THE_SITE = frozenset({State.PREPARING, State.SUBMITTING})
"""MLflow is told nothing of these: its run is made in the first one, and waits as SCHEDULED."""
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
    now = clock.now()
    values |= {"state": to.to, "failures": 0}
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
    elif source in FINAL:
        values |= {"ended_at": None, "message": None, "exit_code": None, "reason": None}
    changed = await session.execute(
        update(Run)
        .where(Run.id == run.id, Run.state == source, guard if guard is not None else true())
        .values(**values, **_tracking(session, to.to))
        .execution_options(synchronize_session=False)
    )
    assert isinstance(changed, CursorResult)  # noqa: S101  what an UPDATE returns
    if changed.rowcount == 0:
        return False
    record(session, run.id, "state", to.text, dict(to.evidence), source=source, to=to.to, caller=caller)
    return True


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
) -> None:
    """Append an event; without a caller the gateway itself is the actor."""
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
        )
    )


async def set_condition(session: AsyncSession, run_id: uuid.UUID, name: ConditionName, text: str) -> None:
    """Show a condition; `since` stays when it is there already, and an event is written only when it is new.

    `since` is the database's clock, so that what rests on its age is the same for every gateway."""
    there = await session.scalar(select(Condition).where(Condition.run_id == run_id, Condition.name == name))
    if there is None:
        new = insert(Condition).values(run_id=run_id, name=name, since=later(session, 0), text=_storable(text))
        await session.execute(new)
        record(session, run_id, "condition", f"{name}: {text}")
    elif there.text != _storable(text):
        there.text = _storable(text)


async def no_contact(session: AsyncSession, run_id: uuid.UUID, name: ConditionName, text: str) -> None:
    """Show why the site cannot be asked: LOST_CONTACT or NEEDS_LOGIN, never both, since the first of them."""
    others = (Condition.run_id == run_id, Condition.name.in_(NO_CONTACT - {name}))
    there = await session.scalar(select(Condition).where(Condition.run_id == run_id, Condition.name == name))
    if there is None:
        turned = await session.scalar(update(Condition).where(*others).values(name=name).returning(Condition.name))
        if turned is not None:
            record(session, run_id, "condition", f"{name}: {text}")
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
    gone = await session.scalars(
        delete(Condition).where(Condition.run_id == run_id, Condition.name.in_(names)).returning(Condition.name)
    )
    for name in gone.all():
        record(session, run_id, "condition", f"{name} ended")
