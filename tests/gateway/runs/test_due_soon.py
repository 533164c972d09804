"""Waking the runs of a connection while its jobs are polled: both lock the lease before the runs."""

import asyncio

import pytest
from sqlalchemy import TextClause, func, select, text, update

from gateway.context import Context
from gateway.db.lease import Lease, claim_named, still_held, want
from gateway.runs.rows import Run
from gateway.runs.service import due_soon
from tests.gateway.world import World


async def _one(context: Context, query: TextClause) -> int:
    async with context.db.reading() as session:
        return int(await session.scalar(query) or 0)


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_waking_waits_for_the_poll_and_locks_no_run_meanwhile(world: World, context: Context) -> None:
    place = await world.run(await world.place(), state="QUEUED")
    async with context.db.reading() as session:
        run = (await session.scalars(select(Run).where(Run.id == place.ids["runId"]))).one()
    assert run.connection_id is not None
    name = f"poll:{run.connection_id}"
    async with context.db.transaction() as session:
        await want(session, name, 0)
    async with context.db.transaction() as session:
        (lease,) = await claim_named(session, "poller", name, 60, 1)

    async def wake() -> None:
        async with context.db.transaction() as session:
            await due_soon(session, run.connection_id)

    # PostgreSQL shows one transaction the same activity until its end.
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%leases%'")
    async with context.db.transaction() as session:
        assert await still_held(session, lease)
        waking = asyncio.create_task(wake())
        async with asyncio.timeout(10):
            while not await _one(context, waits):
                pass
        await session.execute(update(Run).where(Run.id == run.id).values(message="polled"))
    await waking
    async with context.db.reading() as session:
        due = select(Run.message, Run.due_at <= func.now()).where(Run.id == run.id)
        assert (await session.execute(due)).one() == ("polled", True)
        assert await session.scalar(select(Lease.due_at).where(Lease.name == name)) is not None
