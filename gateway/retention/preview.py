"""What would go now, by the saved rules or by others: nothing is removed by looking."""

import uuid
from typing import Any

from sqlalchemy import Row, Select, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.logs.rows import LogChunk
from gateway.projects.access import require
from gateway.retention import holds
from gateway.retention.due import DIRECTORY, Due, due, ended
from gateway.retention.reading import reading
from gateway.retention.rows import Removal
from gateway.retention.rules import rules_of, saved
from gateway.runs.rows import Run
from gateway.schemas.retention import RetentionItem, RetentionPreview, RetentionTotals, SetRetention
from gateway.users.caller import Caller


async def preview(
    db: Database, caller: Caller, project_id: uuid.UUID, body: SetRetention | None, cursor: str | None, limit: int
) -> RetentionPreview:
    """Runs whose time has come, newest first; without a body by the saved rules."""
    async with reading(db) as session:
        await require(session, caller, project_id, "reporter")
        rules = rules_of(body) if body is not None else await saved(session, project_id)
        found = due(rules, clock.now())
        query = select(Run).where(ended(project_id), found.anything)
        runs, following = await fetch(session, query, Run, cursor, limit)
        return RetentionPreview(
            items=await _items(session, found, runs),
            next_cursor=following,
            rules=rules.view,
            totals=await _totals(session, found, project_id),
        )


def _flagged(found: Due) -> Select[Any]:
    """Of each run what goes, if nothing holds it, and how many bytes of its log are stored."""
    size = select(func.sum(LogChunk.length)).where(LogChunk.run_id == Run.id).scalar_subquery()
    last = select(Removal.problem).where(Removal.run_id == Run.id, Removal.what == DIRECTORY).scalar_subquery()
    flags = {"goes": found.run, "log": found.log, "directory": found.directory, "held": holds.held()}
    shown = [case((clause, literal(1)), else_=literal(0)).label(name) for name, clause in flags.items()]
    return select(Run.id, *shown, size.label("log_bytes"), last.label("problem"))


async def _totals(session: AsyncSession, found: Due, project_id: uuid.UUID) -> RetentionTotals:
    # Once for each run: PostgreSQL would work out a flag anew wherever it is named.
    each = _flagged(found).where(ended(project_id), found.old).cte()
    each = each.prefix_with("MATERIALIZED", dialect="postgresql")
    flags = each.c.goes, each.c.log, each.c.directory
    counted = [*flags, each.c.log * each.c.log_bytes]
    free = [value * (1 - each.c.held) for value in counted]
    stays = each.c.held * case((or_(*(flag == 1 for flag in flags)), literal(1)), else_=literal(0))
    row = (await session.execute(select(*[func.coalesce(func.sum(value), 0) for value in (*free, stays)]))).one()
    runs, logs, directories, size, stay = (int(value) for value in row)
    return RetentionTotals(runs=runs, logs=logs, site_directories=directories, log_bytes=size, stay=stay)


async def _items(session: AsyncSession, found: Due, runs: list[Run]) -> list[RetentionItem]:
    query = _flagged(found).add_columns(*holds.columns()).where(Run.id.in_([run.id for run in runs]))
    rows = {row.id: row for row in await session.execute(query)}
    return [_item(run, rows[run.id]) for run in runs if run.id in rows]


def _item(run: Run, row: Row[Any]) -> RetentionItem:
    stays = holds.reason(row)
    free = stays is None
    return RetentionItem(
        run_id=run.id,
        name=run.name,
        state=run.state,
        ended_at=run.ended_at or clock.now(),
        run=free and bool(row.goes),
        log=free and bool(row.log),
        site_directory=free and bool(row.directory),
        log_bytes=row.log_bytes if free and row.log else None,
        stays=stays,
        problem=row.problem if free and row.directory else None,
    )
