"""What is thrown away now and then, and what a live run keeps."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from gateway import clock
from gateway.git import GitStore
from gateway.runs.manifest import new_manifest
from gateway.runs.preview import preview
from gateway.runs.rows import Preview, Run
from gateway.runs.sweep import sweep
from tests.gateway.engine.yard import Yard


async def swept(yard: Yard, most: int) -> None:
    settings = yard.context.settings.model_copy(update={"max_cache_bytes": most})
    await sweep(yard.db, settings, yard.context.planner)


def cached(store: GitStore) -> list[Path]:
    return [*store._mirrors.iterdir(), *store._bundles.iterdir()]


async def test_a_live_run_keeps_its_code_and_an_ended_one_does_not(yard: Yard) -> None:
    store, run_id = yard.context.planner.git, await yard.submit()
    plan = await yard.context.planner.plan(await yard.run(run_id))
    async with yard.db.transaction() as session:
        session.add(new_manifest(run_id, plan))
    for state, stays in (("SUBMITTING", True), ("RUNNING", True), ("FINISHED", False)):
        async with yard.db.transaction() as session:
            await session.execute(update(Run).values(state=state))
        for path in cached(store):
            os.utime(path, (1, 1))
        await swept(yard, 2**40)
        assert plan.bundle.path.exists(), "there is room"
        await swept(yard, 0)
        assert (plan.bundle.path.exists(), len(cached(store)) == 2) == (stays, stays)
    assert cached(store) == []


@pytest.mark.parametrize(("hours", "left"), [(0.9, 1), (1.1, 0)])
async def test_a_preview_goes_when_nobody_may_submit_it_any_more(yard: Yard, hours: float, left: int) -> None:
    doors = (yard.db, yard.context.settings, yard.context.planner)
    await preview(*doors, yard.caller, yard.project_id, yard.body())
    clock.use(lambda: datetime.now(UTC) + timedelta(hours=hours))
    await swept(yard, 2**40)
    async with yard.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Preview)) == left
