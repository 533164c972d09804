"""Prepared jobs that nobody will start: what lost replies and killed gateways leave on a site that keeps such jobs."""

import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, or_, select

from backends.backend import Backend, Unstarted
from backends.errors import BackendError
from backends.reasons import Reason
from backends.spec import Handle, JobRef
from gateway import clock
from gateway.engine.parts import Parts
from gateway.runs.rows import Attempt, Condition, Job, Run
from gateway.runs.states import FINAL, LIVE, ConditionName, State

log = logging.getLogger(__name__)
SWEEP_SECONDS = 1800.0
RECENT = timedelta(days=2)
"""Connections whose last run ended longer ago are not asked any more; the site itself forgets such jobs in time."""
KEPT = timedelta(days=60)
"""No site keeps a job of ours for longer."""


@dataclass(frozen=True, slots=True)
class Orphans:
    """A sweep may be repeated and broken off anywhere, by many gateways at once."""

    parts: Parts

    async def sweep(self) -> None:
        """Over all connections that had runs lately. A site that does not answer is asked the next time."""
        for connection_id in await self._connections():
            try:
                backend = await self.parts.sites.backend(connection_id)
                if isinstance(backend, Unstarted):
                    await self._sweep(connection_id, backend, backend)
            except BackendError as error:
                log.info("jobs without a run were not looked for at connection %s: %s", connection_id, error.message)

    async def _sweep(self, connection_id: uuid.UUID, asked: Unstarted, backend: Backend) -> None:
        for handle in await asked.unstarted(await self._begun(connection_id)):
            if await self._claimed(handle):
                continue
            # The site may show a job as not started although a copy of it runs: the fence knows.
            if isinstance(await backend.revoke(handle), JobRef):
                continue
            await backend.remove(handle, "attempt")
            log.info("removed a prepared job that nobody starts: %s, %s", handle.tag, handle.location)

    async def _connections(self) -> list[uuid.UUID]:
        async with self.parts.db.reading() as session:
            lately = or_(Run.state.in_(LIVE), Run.ended_at > clock.now() - RECENT)
            submitted = and_(Run.connection_id.is_not(None), Run.origin == "submitted")
            rows = await session.scalars(select(Run.connection_id).where(submitted, lately).distinct())
            return [connection_id for connection_id in rows if connection_id is not None]

    async def _begun(self, connection_id: uuid.UUID) -> set[str]:
        """Locations of jobs that were seen to have started: there is nothing to ask about them."""
        ours = and_(Run.connection_id == connection_id, Run.created_at > clock.now() - KEPT)
        told = or_(Run.reason.is_(None), Run.reason != Reason.LOST)
        query = select(Attempt.location).join(Run, Run.id == Attempt.run_id).join(Job, Job.attempt_id == Attempt.id)
        async with self.parts.db.reading() as session:
            rows = await session.scalars(query.where(ours, told, Job.current, Attempt.location.is_not(None)))
            return {location for location in rows if location}

    async def _claimed(self, handle: Handle) -> bool:
        """Whether somebody may still start this job. Of a tag that is not ours, another gateway decides.

        Asked after the job was seen: an attempt that cannot be started never can be again."""
        async with self.parts.db.reading() as session:
            query = select(Attempt, Run.state, Condition.name).join(Run, Run.id == Attempt.run_id)
            collecting = and_(Condition.run_id == Run.id, Condition.name == ConditionName.COLLECTING)
            row = (
                await session.execute(query.outerjoin(Condition, collecting).where(Attempt.tag == handle.tag))
            ).first()
        if row is None:
            return True
        attempt, state, being_collected = row
        if State(state) in FINAL:
            return being_collected is not None
        if attempt.revoked_at is not None:
            return False
        # Before the location is stored, whoever prepares it takes the oldest job of the tag.
        return attempt.location in (None, handle.location)
