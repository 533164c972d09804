"""Prepared jobs on a UNICORE server: removed when nobody can start them, and never one that somebody may start."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from backends import registry
from backends.errors import SiteUnavailable
from backends.spec import Handle, JobRef, JobSpec
from backends.unicore import kind as unicore
from backends.unicore.backend import UnicoreBackend
from gateway import clock
from gateway.engine.orphans import Orphans
from gateway.runs.rows import Attempt, Run
from gateway.runs.states import State
from gateway.sites.rows import Site
from tests.backends.unicore.certificate import self_signed
from tests.backends.unicore.remote_fake import Job, RemoteFake, remote_fake
from tests.gateway.engine.yard import Yard

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RAN = "echo ran >>$MANTIK_OUTPUTS_DIR/ran"


class Centre:
    """The yard's site is a UNICORE server; two steps of a submission can be made to wait."""

    def __init__(self, yard: Yard, there: RemoteFake, orphans: Orphans) -> None:
        self.yard = yard
        self.there = there
        self._orphans = orphans
        self.gates = {"prepare": asyncio.Event(), "start": asyncio.Event()}
        self.reached = {"prepare": asyncio.Event(), "start": asyncio.Event()}
        for gate in self.gates.values():
            gate.set()

    async def wait(self, step: str) -> None:
        self.reached[step].set()
        await self.gates[step].wait()

    async def submit(self) -> uuid.UUID:
        config = {"UnicoreApiUrl": self.there.url, "Resources": {"Queue": "batch", "Runtime": "10m"}}
        return await self.yard.submit(RAN, backend_config=config)

    async def sweep(self) -> list[str]:
        """The jobs that are left."""
        await self._orphans.sweep()
        return list(self.there.jobs)

    def job(self) -> Job:
        (job,) = self.there.jobs.values()
        return job

    async def another(self, run_id: uuid.UUID, n: int = 1) -> Job:
        """One more prepared job with the tags of an attempt."""
        tags = ["mantik", f"mantik-{run_id}", f"mantik-{run_id}-{n}"]
        job = self.there.make({"Executable": "/bin/true", "Tags": tags, "haveClientStageIn": "true"})
        async with asyncio.timeout(30):
            while True:
                if job.there:
                    return job
                await asyncio.sleep(0.05)


@pytest.fixture
async def centre(yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Centre]:
    async with remote_fake(tmp_path / "remote", *self_signed(tmp_path)) as server:
        monkeypatch.setattr(registry, "kind", lambda name: unicore)
        yard.context = replace(yard.context, planner=replace(yard.context.planner, kind_of=lambda name: unicore))
        async with yard.db.transaction() as session:
            await session.execute(update(Site).values(kind="unicore", url=server.url, tls_ca=server.ca))
        made = Centre(yard, server, Orphans((await yard.engine(start=False)).parts))
        _slow(monkeypatch, made)
        yield made
        await yard.close()


def _slow(monkeypatch: pytest.MonkeyPatch, centre: Centre) -> None:
    prepare: Callable[[UnicoreBackend, JobSpec], Awaitable[Handle]] = UnicoreBackend.prepare
    start: Callable[[UnicoreBackend, Handle], Awaitable[JobRef]] = UnicoreBackend.start

    async def prepared(self: UnicoreBackend, spec: JobSpec) -> Handle:
        handle = await prepare(self, spec)
        await centre.wait("prepare")
        return handle

    async def started(self: UnicoreBackend, handle: Handle) -> JobRef:
        await centre.wait("start")
        return await start(self, handle)

    monkeypatch.setattr(UnicoreBackend, "prepare", prepared)
    monkeypatch.setattr(UnicoreBackend, "start", started)


async def finished_once(centre: Centre, run_id: uuid.UUID) -> None:
    await centre.yard.until_quiet(run_id)
    assert (await centre.yard.run(run_id)).state == State.FINISHED
    (attempt,) = await centre.yard.attempts(run_id)
    job = centre.there.jobs[str(attempt.location).rpartition("/")[2]]
    assert (job.directory / "outputs" / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("step", ["prepare", "start"])
async def test_a_job_that_is_on_its_way_stays(centre: Centre, step: str) -> None:
    """Made and not stored yet; stored and not started yet."""
    centre.gates[step].clear()
    run_id = await centre.submit()
    await centre.yard.engine()
    await centre.reached[step].wait()
    assert await centre.sweep() == [centre.job().name]
    centre.gates[step].set()
    await finished_once(centre, run_id)


async def test_a_gateway_killed_between_create_and_store_leaves_a_job_that_the_next_one_uses(centre: Centre) -> None:
    centre.gates["prepare"].clear()
    run_id = await centre.submit()
    engine = await centre.yard.engine()
    await centre.reached["prepare"].wait()
    await centre.yard.kill(engine)
    job = centre.job()
    assert await centre.sweep() == [job.name]
    centre.gates["prepare"].set()
    await centre.yard.age_leases()
    await centre.yard.engine()
    await finished_once(centre, run_id)
    assert centre.there.asked.count("POST /jobs") == 1
    assert await centre.sweep() == [job.name]


async def test_the_second_job_of_one_attempt_goes_once_the_first_is_stored(centre: Centre) -> None:
    centre.gates["prepare"].clear()
    centre.gates["start"].clear()
    run_id = await centre.submit()
    await centre.yard.engine()
    await centre.reached["prepare"].wait()
    first, second = centre.job().name, (await centre.another(run_id)).name
    assert await centre.sweep() == [first, second]
    centre.gates["prepare"].set()
    await centre.reached["start"].wait()
    assert await centre.sweep() == [first]
    centre.gates["start"].set()
    await finished_once(centre, run_id)


async def test_what_a_finished_run_or_a_revoked_attempt_left_goes(centre: Centre) -> None:
    run_id = await centre.submit()
    engine = await centre.yard.engine()
    await finished_once(centre, run_id)
    await engine.stop()
    ran = centre.job().name
    late = await centre.another(run_id)
    assert await centre.sweep() == [ran]
    assert not late.directory.exists()

    async with centre.yard.db.transaction() as session:
        session.add(Attempt(run_id=run_id, n=2, tag=f"mantik-{run_id}-2", revoked_at=clock.now()))
        await session.execute(update(Run).where(Run.id == run_id).values(state=State.PREPARING))
    await centre.another(run_id, 2)
    assert await centre.sweep() == [ran]


async def test_a_job_whose_fence_was_passed_stays_whatever_the_server_shows(centre: Centre) -> None:
    run_id = await centre.submit()
    engine = await centre.yard.engine()
    await finished_once(centre, run_id)
    await engine.stop()
    runs = await centre.another(run_id)
    (runs.directory / "fence.4711").touch()
    assert runs.name in await centre.sweep()
    assert sorted(file.name for file in runs.directory.iterdir()) == ["fence.4711"]


async def test_the_jobs_of_others_stay(centre: Centre) -> None:
    """Of another gateway with the same login; and what carries no tag of an attempt."""
    await finished_once(centre, await _ended(centre))
    foreign = await centre.another(uuid.uuid4())
    check = centre.there.make({"Tags": ["mantik", "mantik-check", "mantik-check-1"], "haveClientStageIn": "true"})
    plain = centre.there.make({"Tags": ["mantik"], "haveClientStageIn": "true"})
    assert {foreign.name, check.name, plain.name} <= set(await centre.sweep())
    check.made_at -= timedelta(hours=2)  # whoever checked was killed
    plain.made_at -= timedelta(hours=2)
    left = await centre.sweep()
    assert check.name not in left
    assert {foreign.name, plain.name} <= set(left)


async def _ended(centre: Centre) -> uuid.UUID:
    run_id = await centre.submit()
    engine = await centre.yard.engine()
    await centre.yard.until_quiet(run_id)
    await engine.stop()
    return run_id


async def test_a_site_that_is_away_is_asked_the_next_time(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = await _ended(centre)
    late = await centre.another(run_id)
    with monkeypatch.context() as away:

        async def unstarted(*_: object) -> list[Handle]:
            raise SiteUnavailable("The site does not answer.")

        away.setattr(UnicoreBackend, "unstarted", unstarted)
        assert late.name in await centre.sweep()
    assert late.name not in await centre.sweep()
