"""Runs of a project: list, show, cancel, delete, and what a run executed elsewhere tells of itself."""

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.db.lease import later, want
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.logs import service as logs
from gateway.projects.access import at_least, require, role_of, sees_details
from gateway.runs.moves import record
from gateway.runs.rows import Run
from gateway.runs.states import FINAL, State
from gateway.runs.views import details_view, event_views, views
from gateway.schemas.runs import EventView, RunDetails, RunView
from gateway.schemas.wire import Page
from gateway.users.caller import Caller


class NoSuchRun(NotFound):
    """This project has no such run."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs a listing shows; empty means all."""

    states: Sequence[State] = ()
    text: str | None = None
    experiment_repository_id: uuid.UUID | None = None
    created_by: uuid.UUID | None = None
    origin: str | None = None


async def list_runs(
    db: Database, caller: Caller, project_id: uuid.UUID, chosen: Filter, cursor: str | None, limit: int
) -> Page[RunView]:
    """Newest first; the cursor names the last run shown, so that new runs shift nothing."""
    async with db.reading() as session:
        show = await _may_see_details(session, caller, project_id)
        if chosen.created_by is not None and not show:
            raise Forbidden("Who made the runs of this project is for its members.")
        query = select(Run).where(Run.project_id == project_id, Run.deleted_at.is_(None))
        if chosen.states:
            query = query.where(Run.state.in_(chosen.states))
        if chosen.text:
            query = query.where(Run.name.icontains(chosen.text, autoescape=True))
        for column, value in (
            (Run.experiment_repository_id, chosen.experiment_repository_id),
            (Run.created_by, chosen.created_by),
            (Run.origin, chosen.origin),
        ):
            if value is not None:
                query = query.where(column == value)
        if cursor:
            query = query.where(tuple_(Run.created_at, Run.id) < tuple_(*_place(cursor)))
        query = query.order_by(Run.created_at.desc(), Run.id.desc()).limit(limit + 1)
        rows = (await session.scalars(query)).all()
        shown = rows[:limit]
        more = _cursor(shown[-1]) if len(rows) > limit else None
        return Page[RunView](items=await views(session, shown, details=show), next_cursor=more)


def _cursor(run: Run) -> str:
    text = json.dumps([run.created_at.isoformat(), str(run.id)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[datetime, uuid.UUID]:
    try:
        at, run_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return datetime.fromisoformat(at), uuid.UUID(run_id)
    except (ValueError, TypeError):
        raise InvalidInput("cursor: is not one of this listing.", next_step="Start without a cursor.") from None


async def get_run(db: Database, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID) -> RunDetails:
    """Raises NotFound."""
    async with db.reading() as session:
        show = await _may_see_details(session, caller, project_id)
        run = await load(session, caller, project_id, run_id)
        return await details_view(session, run, log_size=await logs.size(session, run_id), details=show)


async def list_events(
    db: Database, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID, after: int, limit: int
) -> list[EventView]:
    """Oldest first, past the event `after`."""
    async with db.reading() as session:
        if not await _may_see_details(session, caller, project_id):
            raise Forbidden("Events of this project are for its members.")
        await load(session, caller, project_id, run_id)
        return await event_views(session, run_id, after, limit)


async def load(session: AsyncSession, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID) -> Run:
    """A run of the project that was not deleted. Raises NoSuchRun. A run token sees its own run only."""
    run = await session.scalar(select(Run).where(Run.id == run_id, Run.project_id == project_id))
    if run is None or run.deleted_at is not None or caller.run_id not in (None, run_id):
        raise NoSuchRun(next_step="See `mantik runs list`.")
    return run


async def _may_see_details(session: AsyncSession, caller: Caller, project_id: uuid.UUID) -> bool:
    return await sees_details(session, caller, await require(session, caller, project_id, "guest"))


async def may_read_log(db: Database, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID) -> str:
    """The run's state, when the caller may read its log. Raises NotFound, Forbidden."""
    async with db.reading() as session:
        if not await _may_see_details(session, caller, project_id):
            raise Forbidden("Logs of this project are for its members.")
        return (await load(session, caller, project_id, run_id)).state


async def cancel(db: Database, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID) -> RunView:
    """Ask for the end of a run. Repeatable; the run is CANCELLED when there is evidence of it. Raises Conflict."""
    async with db.transaction() as session:
        await may_change(session, caller, project_id, run_id)
        run = await load(session, caller, project_id, run_id)
        if run.origin == "reported":
            raise Conflict("This run was executed elsewhere; stop it there.")
        if run.state in FINAL:
            raise Conflict(f"The run has ended: {run.state}.")
        await _ask_cancel(session, caller, run)
        return (await views(session, [await load(session, caller, project_id, run_id)]))[0]


async def _ask_cancel(session: AsyncSession, caller: Caller, run: Run) -> None:
    if run.cancel_requested_at is not None:
        return
    await _intend(session, run, cancel_requested_at=clock.now(), cancel_requested_by=caller.user_id)
    record(session, run.id, "intent", "Cancel requested.", caller=caller)
    audit(session, caller, "run.cancel", "run", run.id)


async def _intend(session: AsyncSession, run: Run, **values: object) -> None:
    # Columns of intents are written by the API only and columns of state by the engine only: no lost update.
    await session.execute(update(Run).where(Run.id == run.id).values(**values, due_at=later(session, 0)))
    await session.refresh(run)


async def delete(
    db: Database,
    caller: Caller,
    project_id: uuid.UUID,
    run_id: uuid.UUID,
    *,
    cancel_live: bool,
    site_directory: bool,
) -> None:
    """Delete a run that has ended; a live one only with `cancel_live`, after its end. Raises Conflict.

    With `site_directory` its directory on the site goes too. What it cost and the audit stay."""
    async with db.transaction() as session:
        await may_change(session, caller, project_id, run_id)
        run = await load(session, caller, project_id, run_id)
        if run.state not in FINAL and run.origin != "reported":
            if not cancel_live:
                raise Conflict(f"The run is live: {run.state}.", next_step="Cancel it first, or add cancel=true.")
            await _ask_cancel(session, caller, run)
        if run.delete_requested_at is None:
            wish = {"delete_requested_at": clock.now(), "delete_requested_by": caller.user_id}
            await _intend(session, run, **wish, delete_site_directory=site_directory)
            record(session, run.id, "intent", "Delete requested.", caller=caller)
            audit(session, caller, "run.delete", "run", run.id, site_directory=site_directory)


async def may_change(session: AsyncSession, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID) -> None:
    """One's own runs from researcher on, everybody's from maintainer on. A run token changes no run this way."""
    await require(session, caller, project_id, "researcher")
    role = await role_of(session, caller, project_id)
    owner = await session.scalar(select(Run.created_by).where(Run.id == run_id, Run.project_id == project_id))
    if owner not in (None, caller.user_id) and not (role is not None and at_least(role, "maintainer")):
        raise Forbidden("This is another's run.", next_step="A maintainer of the project may do this.")


async def due_soon(session: AsyncSession, connection_id: uuid.UUID) -> None:
    """A connection has a new credential: look at its waiting runs and jobs at once.

    The lease is locked before its runs, as by those who poll, and the runs in order of their ids: no deadlock."""
    await want(session, f"poll:{connection_id}", 0)
    waiting = and_(Run.connection_id == connection_id, or_(Run.state.not_in(FINAL), Run.due_at.is_not(None)))
    locked = select(Run.id).where(waiting).order_by(Run.id).with_for_update().cte()
    await session.execute(
        update(Run)
        .where(Run.id.in_(select(locked.c.id)))
        .values(due_at=later(session, 0))
        .execution_options(synchronize_session=False)
    )
