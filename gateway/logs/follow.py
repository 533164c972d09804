"""Following a stored log: the first chunk, the last chunk, then what comes live; resumable at any byte."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import select

from gateway.db.session import Database
from gateway.logs import service as logs
from gateway.logs.blobs import BlobStore
from gateway.logs.service import Position, TextCutter
from gateway.runs.rows import Condition, Run
from gateway.runs.states import FINAL, ConditionName

FIRST = 64 << 10
LAST = 64 << 10
"""Bytes of a large log that are shown from its start and from its end."""
STEP_SECONDS = 0.5
BEAT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Followed:
    """One thing to tell a follower. `at` is the position after it, to resume from."""

    event: str
    """log, gap, generation, state, beat or end."""
    at: Position
    text: str = ""
    skipped: int = 0


async def follow(
    db: Database, blobs: BlobStore, run_id: uuid.UUID, at: Position | None, *, whole: bool = False
) -> AsyncIterator[Followed]:
    """Everything from `at` (None: the start; of a large log its first and its last chunk), until the run has ended
    and its tail is complete. Reads the store only, never the site."""
    here = at or Position(0, 0)
    state, leap = "", at is None and not whole
    cutter, quiet = TextCutter(), 0.0
    while True:
        now, complete = await _state(db, run_id)
        if now != state:
            state = now
            yield Followed("state", _resume(here, cutter), text=now)
        end = await _end(db, run_id)
        if leap and here.offset >= FIRST and here.generation == end.generation and end.offset - here.offset > LAST:
            skipped = end.offset - LAST - here.offset
            here = Position(end.generation, end.offset - LAST)
            cutter = TextCutter(inside=True)
            yield Followed("gap", here, skipped=skipped)
            leap = False
        # The rest of the first chunk only, as long as a leap may follow.
        limit = max(1, FIRST - here.offset) if leap and here.offset < FIRST else 1 << 18
        piece = await logs.read(db, blobs, run_id, here, limit)
        if piece is not None:
            async for told in _tell(piece, here, cutter):
                yield told
            here, quiet = piece.end, 0.0
            continue
        leap = False
        if complete:
            rest = cutter.feed(b"", final=True)
            if rest:
                yield Followed("log", here, text=rest)
            yield Followed("end", here, text=state)
            return
        await asyncio.sleep(STEP_SECONDS)
        quiet += STEP_SECONDS
        if quiet >= BEAT_SECONDS:
            quiet = 0.0
            yield Followed("beat", _resume(here, cutter))


def _resume(here: Position, cutter: TextCutter) -> Position:
    """A follower resumes at whole characters: what is held back is read again."""
    return Position(here.generation, here.offset - cutter.pending)


async def _tell(piece: logs.Piece, here: Position, cutter: TextCutter) -> AsyncIterator[Followed]:
    if piece.generation != here.generation:
        cutter.feed(b"", final=True)
        yield Followed("generation", Position(piece.generation, piece.start))
    elif piece.start > here.offset:
        cutter.feed(b"", final=True)
        yield Followed("gap", Position(piece.generation, piece.start), skipped=piece.start - here.offset)
    text = cutter.feed(piece.data)
    yield Followed("log", _resume(piece.end, cutter), text=text)


async def _state(db: Database, run_id: uuid.UUID) -> tuple[str, bool]:
    """The run's state, and whether its log is complete."""
    async with db.reading() as session:
        state = await session.scalar(select(Run.state).where(Run.id == run_id))
        collecting = await session.get(Condition, (run_id, ConditionName.COLLECTING))
    return str(state), state in FINAL and collecting is None


async def _end(db: Database, run_id: uuid.UUID) -> Position:
    async with db.reading() as session:
        return await logs.end(session, run_id)
