"""From the events of runs to deliveries: an event that is to be told carries a mark, which goes when they are made.

The mark is written with the event. So nothing is lost when a gateway stops, and since it is found by the mark and not
by its number, an event that is committed late is found as well.
"""

import logging
from typing import Any

from sqlalchemy import Row, Select, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.reasons import Reason
from gateway.connections.rows import Connection
from gateway.db.session import Database
from gateway.projects.rows import Project
from gateway.runs.rows import Condition, Event, Run
from gateway.runs.states import ConditionName
from gateway.subscriptions.telling import Happening, login_key, one_line, tell
from gateway.subscriptions.words import EventName
from gateway.users.rows import User

log = logging.getLogger(__name__)
AT_ONCE = 100


async def empty(db: Database) -> bool:
    """Make the deliveries of events that are marked; whether there may be more. Repeatable, by many gateways at once.

    With nothing marked it costs one query over an index."""
    async with db.reading() as session:
        if await session.scalar(select(Event.id).where(Event.untold.is_not(None)).limit(1)) is None:
            return False
    async with db.transaction() as session:
        return await _some(session) == AT_ONCE


async def _some(session: AsyncSession) -> int:
    rows = (await session.execute(_marked())).all()
    found = [_happening(row) for row in rows]
    await tell(session, [told for told in found if told is not None])
    done = update(Event).where(Event.id.in_([row.id for row in rows])).values(untold=None)
    if rows:
        await session.execute(done.execution_options(synchronize_session=False))
    return len(rows)


def _marked() -> "Select[*tuple[Any, ...]]":
    waits = exists(
        select(Condition.run_id).where(Condition.run_id == Run.id, Condition.name == ConditionName.NEEDS_LOGIN)
    )
    return (
        select(
            Event.id,
            Event.untold,
            Event.time,
            Run.id.label("run_id"),
            Run.name.label("run"),
            Run.reason,
            Run.run_as,
            Run.project_id,
            Project.name.label("project"),
            Run.connection_id,
            Connection.name.label("connection"),
            Connection.version,
            User.name.label("owner"),
            waits.label("waits"),
        )
        .join(Run, Run.id == Event.run_id)
        .join(Project, Project.id == Run.project_id)
        .join(User, User.id == Run.run_as)
        .join(Connection, Connection.id == Run.connection_id, isouter=True)
        .where(Event.untold.is_not(None))
        .order_by(Event.id)
        .limit(AT_ONCE)
        .with_for_update(of=Event, skip_locked=True)
    )


def _happening(row: Row[Any]) -> Happening | None:
    """None for a word of another version, and for a login that is not needed any more: it may have another version of
    the credential by now, of which nothing was told."""
    if row.untold not in frozenset(EventName):
        log.warning("event %s is not told: no gateway of this version knows %r", row.id, row.untold)
        return None
    event = EventName(row.untold)
    if event is EventName.NEEDS_LOGIN:
        if not row.waits:
            return None
        key = login_key(row.connection_id, row.version, row.time)
        text = f"Runs with connection {one_line(row.connection or '')} of {one_line(row.owner)} wait for a login."
        ids = {"project_id": row.project_id, "run_id": row.run_id, "connection_id": row.connection_id}
        return Happening(event, key, row.time, text, row.run_as, **ids)
    lost = event is EventName.RUN_LOST
    reason = Reason.LOST if lost else row.reason
    run, project = one_line(row.run), one_line(row.project)
    why = f" with the reason {reason}" if reason and not lost else ""
    text = f"Run {run} of {one_line(row.owner)} in project {project} {'is lost' if lost else 'failed'}{why}."
    ids = {"project_id": row.project_id, "run_id": row.run_id, "connection_id": row.connection_id}
    return Happening(event, f"event:{row.id}", row.time, text, row.run_as, **ids, reason=reason)
