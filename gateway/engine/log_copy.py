"""Copies a run's log from the site: each byte is read there once, by whoever holds the lease."""

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backends.backend import Backend
from backends.spec import Handle
from gateway.engine.parts import Parts
from gateway.logs import service as logs
from gateway.logs.rows import LogChunk
from gateway.logs.service import Position
from gateway.runs.moves import record
from gateway.runs.rows import Job, Run

LOG = "mantik.log"
REPLACED = "The log was replaced on the site; it is kept as a new generation."
CHUNK = 1 << 20
PER_TICK = 4 << 20
"""Bytes of one run copied in one go while others wait."""
LEAP = 16 << 20
"""Further behind than this, the copy leaps to the last chunk: what runs now is what a follower wants to see."""

SHORT_LOOKS = 3
"""How often in a row the same file must look shorter before it counts as written anew."""

Held = Callable[[AsyncSession], Awaitable[bool]]
"""Whether the lease under which the log is copied is still ours, until the end of the transaction."""


class _LeaseLost(Exception):
    """Another gateway copies this log by now."""


@dataclass(frozen=True, slots=True)
class LogCopy:
    """Brings the stored log up to a size that was seen on the site."""

    parts: Parts
    _short: Counter[uuid.UUID] = field(default_factory=Counter)
    """How often in a row a log was seen shorter than what is stored."""

    async def copy(
        self,
        run: Run,
        job: Job,
        backend: Backend,
        handle: Handle,
        size: int,
        identity: str,
        *,
        held: Held,
        whole: bool = False,
    ) -> bool:
        """Copy what is new, at most PER_TICK bytes unless `whole`; True when something was. Never asks past `size`.

        Stops when the lease is no longer `held`: to a late copier with an old size a longer log looks shrunk."""
        async with self.parts.db.reading() as session:
            at = await logs.end(session, run.id)
        replaced = bool(job.log_identity) and bool(identity) and job.log_identity != identity
        shrunk = size < at.offset and (whole or replaced or self._stays_short(run.id))
        if size >= at.offset:
            self._short.pop(run.id, None)
        anew = shrunk or (replaced and at.offset > 0)
        if anew:
            at = Position(at.generation + 1, 0)
        copied = 0
        while at.offset < size and (whole or copied < PER_TICK):
            if at.offset >= CHUNK and size - at.offset > LEAP:
                at = Position(at.generation, size - CHUNK)
            data = await backend.read(handle, LOG, at.offset, min(CHUNK, size - at.offset))
            if not data or not await self._store(run, job, at, data, identity, held, anew=anew and copied == 0):
                break
            at = Position(at.generation, at.offset + len(data))
            copied += len(data)
        if copied:
            self._short.pop(run.id, None)
            await self._prune(run)
        return copied > 0

    def _stays_short(self, run_id: uuid.UUID) -> bool:
        """A network file system may show an old size of the same file for a while."""
        self._short[run_id] += 1
        return self._short[run_id] >= SHORT_LOOKS

    async def fill(self, run: Run, job: Job, backend: Backend, handle: Handle, identity: str, *, held: Held) -> None:
        """After the end: what a leap left out of the newest generation, the latest first, as far as it is kept."""
        async with self.parts.db.reading() as session:
            rows = (await session.scalars(_chunks(LogChunk.run_id == run.id))).all()
        room = self.parts.settings.max_log_bytes - sum(row.length for row in rows)
        newest = [row for row in rows if row.generation == rows[-1].generation]
        holes = [(a.start + a.length, b.start) for a, b in pairwise(newest) if a.start + a.length < b.start]
        for start, end in reversed(holes):
            while end > start and room > 0:
                at = Position(newest[0].generation, max(start, end - min(CHUNK, room)))
                data = await backend.read(handle, LOG, at.offset, end - at.offset)
                whole = len(data) == end - at.offset
                if not whole or not await self._store(run, job, at, data, identity, held, anew=False):
                    return
                end, room = at.offset, room - len(data)

    async def _store(
        self, run: Run, job: Job, at: Position, data: bytes, identity: str, held: Held, *, anew: bool
    ) -> bool:
        """Keep a range and, with it, which file it is of: a repeat after a crash begins no other generation."""
        key = logs.new_key(run.id, at)
        await self.parts.blobs.put(key, data)
        try:
            async with self.parts.db.transaction() as session:
                if not await held(session):
                    raise _LeaseLost
                logs.append(session, run.id, at, len(data), key)
                if identity:
                    same = (Job.id == job.id, Job.log_identity != identity)
                    await session.execute(update(Job).where(*same).values(log_identity=identity))
                if anew:
                    record(session, run.id, "site", REPLACED)
        except (IntegrityError, _LeaseLost):
            # Another has the lease, or stored this range: its copy stands, ours goes.
            await self.parts.blobs.delete(key)
            return False
        return True

    async def _prune(self, run: Run) -> None:
        """Keep the first chunk and the newest ones, `max_log_bytes` in all."""
        async with self.parts.db.transaction() as session:
            rows = (await session.scalars(_chunks(LogChunk.run_id == run.id))).all()
            surplus = sum(r.length for r in rows) - self.parts.settings.max_log_bytes
            gone = []
            for row in rows[1:-1]:
                if surplus <= 0:
                    break
                surplus -= row.length
                gone.append(row)
            for row in gone:
                same = (LogChunk.run_id == run.id, LogChunk.blob_key == row.blob_key)
                await session.execute(delete(LogChunk).where(*same))
        for row in gone:
            await self.parts.blobs.delete(row.blob_key)


def _chunks(where: ColumnElement[bool]):  # type: ignore[no-untyped-def]
    return select(LogChunk).where(where).order_by(LogChunk.generation, LogChunk.start)
