"""What the retention rules of projects remove: runs by their deletion, logs and directories under the run's lease."""

import logging
import uuid
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

from backends.errors import BackendError
from gateway.engine.collector import current
from gateway.engine.parts import Parts
from gateway.errors import GatewayError
from gateway.retention import sweep
from gateway.runs.lease import RunLease, claim_idle_run, release_run, still_held
from gateway.runs.rows import Run

log = logging.getLogger(__name__)
SWEEP_SECONDS = 600.0
BATCH = 20


@dataclass(frozen=True, slots=True)
class Retention:
    """One pass after the other, by every gateway: whoever takes the lease of a run removes what is its."""

    parts: Parts
    leases: MutableMapping[object, RunLease]
    """Those of the engine, which renews them."""

    async def round(self) -> bool:
        """At most `sweep.AT_ONCE` runs of each project; True when one has more to lose at once."""
        for run_id, keys in await sweep.leftovers(self.parts.db):
            await self._remove_bytes(run_id, keys)
        more = False
        for project_id in await sweep.projects(self.parts.db):
            await sweep.request_deletions(self.parts.db, project_id)
            more = await self._files(project_id) or more
        return more

    async def _files(self, project_id: uuid.UUID) -> bool:
        """True when as many lost something as may in a pass. A site that is away is asked once."""
        seen: set[uuid.UUID] = set()
        away: set[uuid.UUID] = set()
        lost = 0
        while len(seen) < sweep.AT_ONCE:
            found = await sweep.files_due(self.parts.db, project_id, BATCH, besides=seen, away=away)
            for run_id, connection_id in found:
                seen.add(run_id)
                lease = await self._claim(run_id)
                if lease is None:
                    continue
                try:
                    lost += await self._one(project_id, lease, away, connection_id)
                finally:
                    if self.leases.get(run_id) is lease:
                        del self.leases[run_id]
            if not found:
                return False
        return lost > 0

    async def _claim(self, run_id: uuid.UUID) -> RunLease | None:
        async with self.parts.db.transaction() as session:
            lease = await claim_idle_run(session, self.parts.owner, run_id, self.parts.settings.lease_seconds)
        if lease is not None:
            self.leases[run_id] = lease
        return lease

    async def _one(
        self, project_id: uuid.UUID, lease: RunLease, away: set[uuid.UUID], connection_id: uuid.UUID | None
    ) -> bool:
        """Whether something of the run is gone. Broken off anywhere, the next pass goes on from what is stored."""
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return False
            begun = await sweep.begin(session, project_id, lease.run_id, site=connection_id not in away)
        if begun.blob_keys:
            await self._remove_bytes(lease.run_id, begun.blob_keys)
        gone = bool(begun.blob_keys)
        if begun.directory and connection_id is not None:
            if await self._directory(lease, connection_id):
                gone = True
            else:
                away.add(connection_id)
        async with self.parts.db.transaction() as session:
            await release_run(session, lease, due_in=None)
        return gone

    async def _directory(self, lease: RunLease, connection_id: uuid.UUID) -> bool:
        """Whether the directory on the site is gone."""
        async with self.parts.db.reading() as session:
            _, handle = await current(session, await session.get_one(Run, lease.run_id))
        problem = None
        try:
            if handle is not None:
                await (await self.parts.sites.backend(connection_id)).remove(handle)
        except (BackendError, GatewayError) as error:
            problem = error.message
        async with self.parts.db.transaction() as session:
            if await still_held(session, lease):
                if problem is None:
                    await sweep.directory_removed(session, lease.run_id)
                else:
                    await sweep.directory_stays(session, lease.run_id, problem)
        return problem is None

    async def _remove_bytes(self, run_id: uuid.UUID, keys: Sequence[str]) -> None:
        """A disk that fails is tried again in the next pass; nobody reads these bytes meanwhile."""
        try:
            for key in keys:
                await self.parts.blobs.delete(key)
        except OSError as error:
            log.warning("bytes of the log of run %s could not be removed: %s", run_id, error)
            return
        await sweep.bytes_removed(self.parts.db, run_id)
