"""The rules of a project: shown and changed."""

import uuid

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.db.session import Database
from gateway.projects.access import require, sees_details
from gateway.projects.rows import Project
from gateway.retention.rows import RetentionRules
from gateway.retention.rules import FOR_EVER, rules_of
from gateway.runs.views import user_names
from gateway.schemas.retention import RetentionView, SetRetention
from gateway.schemas.users import UserView
from gateway.users.caller import Caller


async def show(db: Database, caller: Caller, project_id: uuid.UUID) -> RetentionView:
    async with db.reading() as session:
        project = await require(session, caller, project_id, "guest")
        details = await sees_details(session, caller, project)
        return await _view(session, await session.get(RetentionRules, project_id), details=details)


async def change(db: Database, caller: Caller, project_id: uuid.UUID, body: SetRetention) -> RetentionView:
    """Replace all three. What has come to its end by the new rules goes within minutes; a longer rule brings nothing
    back. Repeatable."""
    wanted = rules_of(body)
    async with db.transaction() as session:
        await require(session, caller, project_id, "maintainer")
        # Of two that set the first rules one waits here.
        await session.execute(select(Project.id).where(Project.id == project_id).with_for_update())
        there = await session.get(RetentionRules, project_id)
        before = rules_of(there)
        if wanted != before:
            there = there or RetentionRules(project_id=project_id)
            for column, days in wanted.columns.items():
                setattr(there, column, days)
            there.changed_at, there.changed_by = clock.now(), caller.user_id
            session.add(there)
            await session.flush()
            told = {f"{name}_before": days for name, days in before.columns.items()}
            audit(session, caller, "retention.change", "project", project_id, **wanted.columns, **told)
        return await _view(session, there, details=True)


async def _view(session: AsyncSession, found: RetentionRules | None, *, details: bool) -> RetentionView:
    if found is None:
        return RetentionView(**FOR_EVER.columns, changed_at=None, changed_by=None)
    by = None
    if details:
        names = await user_names(session, [found.changed_by])
        by = UserView(user_id=found.changed_by, name=names.get(found.changed_by, ""))
    return RetentionView(**rules_of(found).columns, changed_at=found.changed_at, changed_by=by)
