"""Stored logs: ranges by run, generation and offset. The engine reads the site once; all others read here."""

import codecs
import secrets
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.db.session import Database
from gateway.logs.blobs import BlobStore
from gateway.logs.rows import LogChunk


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a run's log: bytes from the start of one generation."""

    generation: int
    offset: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises ValueError."""
        generation, _, offset = text.partition(".")
        if not (generation.isdecimal() and offset.isdecimal()):
            raise ValueError(f"{text!r} is no position in a log: <generation>.<offset>")
        return cls(int(generation), int(offset))


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a log. `start` is past the position asked for when what lay between is not kept."""

    generation: int
    start: int
    data: bytes

    @property
    def end(self) -> Position:
        return Position(self.generation, self.start + len(self.data))


async def end(session: AsyncSession, run_id: uuid.UUID) -> Position:
    """Where the stored log ends; 0.0 when there is none."""
    newest = (
        select(LogChunk.generation, LogChunk.start, LogChunk.length)
        .where(LogChunk.run_id == run_id)
        .order_by(LogChunk.generation.desc(), LogChunk.start.desc())
        .limit(1)
    )
    row = (await session.execute(newest)).first()
    return Position(row.generation, row.start + row.length) if row else Position(0, 0)


async def size(session: AsyncSession, run_id: uuid.UUID) -> int:
    """Bytes kept, uncompressed."""
    return int(await session.scalar(select(func.sum(LogChunk.length)).where(LogChunk.run_id == run_id)) or 0)


def new_key(run_id: uuid.UUID, at: Position) -> str:
    """Where to store the bytes of a range before its row; another key each time, so that no writer harms another."""
    return f"logs/{run_id}/{at.generation}/{at.offset:015d}-{secrets.token_hex(4)}.z"


def append(session: AsyncSession, run_id: uuid.UUID, at: Position, length: int, key: str) -> None:
    """Add the row of a range whose bytes are stored; the same range twice breaks the primary key."""
    row = LogChunk(run_id=run_id, generation=at.generation, start=at.offset, length=length, blob_key=key)
    row.created_at = clock.now()
    session.add(row)


async def read(db: Database, blobs: BlobStore, run_id: uuid.UUID, at: Position, limit: int) -> Piece | None:
    """What is stored from a position on, at most `limit` bytes and of one generation; None at the end."""
    while (chunk := await _chunk(db, run_id, at)) is not None:
        skip = max(0, at.offset - chunk.start) if chunk.generation == at.generation else 0
        try:
            data = await blobs.get(chunk.blob_key)
        except FileNotFoundError:
            # Pruned since we looked; one whose bytes are gone although its row is there is skipped like that.
            at = Position(chunk.generation, chunk.start + chunk.length)
            continue
        return Piece(chunk.generation, chunk.start + skip, data[skip : min(skip + limit, chunk.length)])
    return None


async def _chunk(db: Database, run_id: uuid.UUID, at: Position) -> LogChunk | None:
    """The stored range that holds a position, or the next one after it."""
    async with db.reading() as session:
        here = (LogChunk.run_id == run_id, LogChunk.generation == at.generation)
        chunk: LogChunk | None = await session.scalar(
            select(LogChunk)
            .where(*here, LogChunk.start + LogChunk.length > at.offset)
            .order_by(LogChunk.start)
            .limit(1)
        )
        if chunk is None:
            chunk = await session.scalar(
                select(LogChunk)
                .where(LogChunk.run_id == run_id, LogChunk.generation > at.generation)
                .order_by(LogChunk.generation, LogChunk.start)
                .limit(1)
            )
    return chunk


async def pieces(db: Database, blobs: BlobStore, run_id: uuid.UUID, at: Position) -> AsyncIterator[Piece]:
    """Everything stored from a position on."""
    while (piece := await read(db, blobs, run_id, at, 1 << 20)) is not None:
        yield piece
        at = piece.end


class TextCutter:
    """Makes text of bytes that may be cut inside a character; what is no UTF-8 becomes U+FFFD.

    `inside`: the first bytes may be the end of a character whose start was left out; they are left out, too."""

    def __init__(self, *, inside: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._inside = inside

    def feed(self, data: bytes, *, final: bool = False) -> str:
        if self._inside and data:
            self._inside = False
            rest = next((n for n, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)
            data = data[rest:]
        return self._decoder.decode(data, final)

    @property
    def pending(self) -> int:
        """Bytes held back because their character is not complete."""
        return len(self._decoder.getstate()[0])
