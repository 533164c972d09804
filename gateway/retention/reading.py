"""Reading many runs with all that may hold them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.session import Database


@asynccontextmanager
async def reading(db: Database) -> AsyncIterator[AsyncSession]:
    """For reads only. PostgreSQL would compile these statements first, which takes ten times as long as they do."""
    if db.is_sqlite:
        async with db.reading() as session:
            yield session
        return
    async with db.transaction() as session:
        await session.execute(text("SET LOCAL jit = off"))
        yield session
