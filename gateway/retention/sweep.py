"""What the rules remove, step by step. Each step looks anew at rules and run, in the transaction of what it stores, so
that a rule that was made longer, or a model that was registered meanwhile, saves what is not gone yet."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.db.lease import later
from gateway.db.session import Database
from gateway.logs.rows import LogChunk
from gateway.retention.due import DIRECTORY, LOG, due, ended
from gateway.retention.holds import held
from gateway.retention.reading import reading
from gateway.retention.rows import Removal, RetentionRules
from gateway.retention.rules import Rules, saved
from gateway.runs.moves import record, set_condition
from gateway.runs.rows import Run
from gateway.runs.states import ConditionName

AT_ONCE = 100
"""Runs of one project: as many are being deleted at a time at most, and so many lose log or directory in a pass."""
AGAIN = timedelta(hours=1)
"""When a directory is tried again that could not be removed."""
KIND = "retention"
"""Of the events."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What was decided for a run: where bytes of its log lie that nobody reads any more, and whether its directory is
    to go."""

    blob_keys: Sequence[str] = ()
    directory: bool = False


async def projects(db: Database) -> Sequence[uuid.UUID]:
    """Those that have a rule."""
    columns = (RetentionRules.log_days, RetentionRules.site_directory_days, RetentionRules.run_days)
    async with db.reading() as session:
        query = select(RetentionRules.project_id).where(or_(*(column.is_not(None) for column in columns)))
        return (await session.scalars(query)).all()


async def request_deletions(db: Database, project_id: uuid.UUID) -> int:
    """Have runs deleted whose time has come, as by a user; how many. At most AT_ONCE of a project are under way, so
    that other runs do not wait behind them."""
    under_way = (Run.project_id == project_id, Run.delete_requested_at.is_not(None), Run.deleted_at.is_(None))
    async with reading(db) as session:
        rules = await saved(session, project_id)
        if rules.run_days is None:
            return 0
        room = AT_ONCE - (await session.scalar(select(func.count()).select_from(Run).where(*under_way)) or 0)
        if room <= 0:
            return 0
        query = _free(project_id).where(due(rules, clock.now()).run).order_by(Run.ended_at).limit(room)
        ids = (await session.scalars(query)).all()
    if not ids:
        return 0
    async with db.transaction() as session:
        return await _delete(session, project_id, ids)


async def _delete(session: AsyncSession, project_id: uuid.UUID, ids: Sequence[uuid.UUID]) -> int:
    # Locked first, in the order of their ids as by all that change many: a model or schedule that comes now waits.
    locked = select(Run.id).where(Run.id.in_(ids), Run.lease_owner.is_(None)).order_by(Run.id)
    mine = (await session.scalars(locked.with_for_update(skip_locked=True))).all()
    rules = await saved(session, project_id)
    found = due(rules, clock.now())
    query = _free(project_id).add_columns(found.directory).where(Run.id.in_(mine), found.run)
    chosen = {run_id: bool(directory) for run_id, directory in await session.execute(query)}
    for directory in (False, True):
        group = [run_id for run_id in chosen if chosen[run_id] is directory]
        await session.execute(
            update(Run)
            .where(Run.id.in_(group))
            .values(delete_requested_at=clock.now(), delete_site_directory=directory, due_at=later(session, 0))
            .execution_options(synchronize_session=False)
        )
    for run_id, directory in chosen.items():
        record(session, run_id, KIND, f"Delete requested by {_rule('runs', rules.run_days)}.")
        audit(session, None, "run.delete", "run", run_id, site_directory=directory, retention_days=rules.run_days)
    return len(chosen)


async def files_due(
    db: Database, project_id: uuid.UUID, limit: int, *, besides: Collection[uuid.UUID], away: Collection[uuid.UUID]
) -> Sequence[tuple[uuid.UUID, uuid.UUID | None]]:
    """Runs that lose their log or directory, the oldest first, with their connections; none of those `besides`, and no
    directory behind a connection that is `away`."""
    async with reading(db) as session:
        found = due(await saved(session, project_id), clock.now())
        directory = and_(found.directory, _not_tried(), or_(Run.connection_id.is_(None), ~Run.connection_id.in_(away)))
        query = _free(project_id).add_columns(Run.connection_id)
        query = query.where(~found.run, or_(found.log, directory), ~Run.id.in_(besides))
        rows = await session.execute(query.order_by(Run.ended_at, Run.id).limit(limit))
        return [(row.id, row.connection_id) for row in rows]


async def begin(session: AsyncSession, project_id: uuid.UUID, run_id: uuid.UUID, *, site: bool) -> Begun:
    """Decide what goes, for the holder of the run's lease: the log is gone for all readers with this transaction, of
    the directory only the try is stored. Without `site` the directory waits."""
    rules = await saved(session, project_id)
    found = due(rules, clock.now())
    query = select(Run.id, found.log.label("log"), and_(found.directory, _not_tried()).label("directory"))
    row = (await session.execute(query.where(Run.id == run_id, ended(project_id), ~found.run, ~held()))).one_or_none()
    if row is None:
        return Begun()
    keys = await _take_log(session, run_id, rules) if row.log else ()
    if row.directory and site:
        await _tried(session, run_id)
    return Begun(keys, bool(row.directory and site))


async def _take_log(session: AsyncSession, run_id: uuid.UUID, rules: Rules) -> Sequence[str]:
    """Rows go before their bytes; the removal remembers where these lie."""
    chunks = LogChunk.run_id == run_id
    keys = (await session.scalars(select(LogChunk.blob_key).where(chunks))).all()
    await session.execute(delete(LogChunk).where(chunks))
    now = clock.now()
    session.add(Removal(run_id=run_id, what=LOG, begun_at=now, tried_at=now, blob_keys=list(keys)))
    record(session, run_id, KIND, f"The log was removed by {_rule('logs', rules.log_days)}.")
    return keys


async def _tried(session: AsyncSession, run_id: uuid.UUID) -> None:
    now = clock.now()
    there = await session.get(Removal, (run_id, DIRECTORY))
    if there is None:
        session.add(Removal(run_id=run_id, what=DIRECTORY, begun_at=now, tried_at=now))
    else:
        there.tried_at = now


async def directory_removed(session: AsyncSession, run_id: uuid.UUID) -> None:
    """The site removed it, or has none."""
    removal = await session.get_one(Removal, (run_id, DIRECTORY))
    removal.done_at, removal.problem = clock.now(), None
    text = f"The project's retention rule removed it on {removal.done_at:%Y-%m-%d}."
    record(session, run_id, KIND, "The directory on the site was removed by the project's retention rule.")
    await set_condition(session, run_id, ConditionName.FILES_GONE, text)


async def directory_stays(session: AsyncSession, run_id: uuid.UUID, problem: str) -> None:
    """It could not be removed; the preview says why, and it is tried again."""
    (await session.get_one(Removal, (run_id, DIRECTORY))).problem = problem.replace("\0", "\ufffd")[:1000]


async def leftovers(db: Database) -> Sequence[tuple[uuid.UUID, Sequence[str]]]:
    """Logs whose bytes are still to go, after a crash."""
    async with db.reading() as session:
        query = select(Removal).where(Removal.what == LOG, Removal.done_at.is_(None)).limit(AT_ONCE)
        return [(row.run_id, row.blob_keys) for row in await session.scalars(query)]


async def bytes_removed(db: Database, run_id: uuid.UUID) -> None:
    """Nothing of the log is left."""
    async with db.transaction() as session:
        mine = (Removal.run_id == run_id, Removal.what == LOG)
        await session.execute(update(Removal).where(*mine).values(done_at=clock.now(), blob_keys=[]))


def _free(project_id: uuid.UUID) -> Select[Any]:
    """Runs that nothing holds, and on which no gateway works."""
    return select(Run.id).where(ended(project_id), Run.lease_owner.is_(None), ~held())


def _not_tried() -> ColumnElement[bool]:
    recent = (Removal.run_id == Run.id, Removal.what == DIRECTORY, Removal.tried_at > clock.now() - AGAIN)
    return ~exists().where(*recent)


def _rule(what: str, days: int | None) -> str:
    return (
        f"the project's retention rule: {what} are kept for {days} day{'' if days == 1 else 's'} after their run's end"
    )
