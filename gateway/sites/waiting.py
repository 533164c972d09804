"""Runs that wait for a site, and what makes them go on."""

from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.runs.rows import Run
from gateway.runs.service import due_soon
from gateway.runs.states import FINAL


async def wake_waiting(session: AsyncSession, site_id: UUID) -> None:
    """Make the runs of a site that have not ended, or have something to fetch there, due at once, and their polls."""
    unfinished = or_(Run.state.not_in(FINAL), Run.due_at.is_not(None))
    waiting = select(Run.connection_id).where(Run.site_id == site_id, Run.deleted_at.is_(None), unfinished).distinct()
    for connection_id in sorted(found for found in await session.scalars(waiting) if found is not None):
        await due_soon(session, connection_id)
