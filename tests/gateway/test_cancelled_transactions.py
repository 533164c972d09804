"""A task that is cancelled in the middle of a transaction leaves no lock behind."""

import asyncio
from pathlib import Path

from sqlalchemy import text

from gateway.db.session import Database

ROUNDS = 400


async def test_whoever_comes_after_a_cancelled_writer_gets_the_lock_at_once(tmp_path: Path) -> None:
    db = Database(f"sqlite+aiosqlite:///{tmp_path}/gateway.db")

    async def write() -> None:
        async with db.transaction() as session:
            await session.execute(text("INSERT INTO things VALUES (1)"))
            await session.execute(text("SELECT count(*) FROM things"))

    try:
        async with db.transaction() as session:
            await session.execute(text("CREATE TABLE things (n int)"))
        for n in range(ROUNDS):
            tasks = [asyncio.create_task(write()) for _ in range(3)]
            await asyncio.sleep(n % 40 / 10_000)  # at each place of it
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            async with asyncio.timeout(10):
                await write()
    finally:
        await db.close()
