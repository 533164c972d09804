"""The last lines of a stored log."""

import uuid

from gateway.db.session import Database
from gateway.logs import service as logs
from gateway.logs.blobs import BlobStore
from gateway.logs.service import Position

MOST = 1 << 20
"""Bytes from the end in which the lines are looked for."""


async def tail(db: Database, blobs: BlobStore, run_id: uuid.UUID, lines: int) -> tuple[Position, bytes]:
    """Where the last lines start, and their bytes."""
    async with db.reading() as session:
        end = await logs.end(session, run_id)
    start = Position(end.generation, max(0, end.offset - MOST))
    data = b""
    async for piece in logs.pieces(db, blobs, run_id, start):
        if piece.start != start.offset + len(data):
            start, data = Position(piece.generation, piece.start), b""
        data += piece.data
    if lines == 0:
        return Position(start.generation, start.offset + len(data)), b""
    kept = b"".join(data.splitlines(keepends=True)[-lines:])
    return Position(start.generation, start.offset + len(data) - len(kept)), kept
