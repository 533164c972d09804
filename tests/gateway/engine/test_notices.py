"""What a site tells by itself: the next look comes sooner, the sweep after it asks for the others only."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from backends import registry
from backends.errors import SiteUnavailable
from backends.fake.backend import FakeBackend
from backends.reasons import Reason
from backends.spec import JobRef
from backends.unicore import kind as unicore
from gateway.db.lease import Lease, NamedLease, claim_named, later, release_named, want
from gateway.engine import notices as notices_module
from gateway.engine.log_copy import LogCopy
from gateway.engine.notices import Notices, address
from gateway.engine.parts import Parts
from gateway.engine.poller import PREFIX, Poller
from gateway.runs.rows import Attempt, Job, Run
from gateway.runs.states import State
from gateway.secrets.notification import Told, told_by
from gateway.settings import Settings
from gateway.sites.rows import Site
from tests.backends.unicore.certificate import self_signed
from tests.backends.unicore.remote_fake import Job as SiteJob
from tests.backends.unicore.remote_fake import RemoteFake, remote_fake
from tests.gateway.engine.yard import Yard

RUNS = 200
LOGIN = "GET "
PUBLIC = "https://gateway.example.org"


@pytest.fixture
def genuine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake site tells, too; its signature is a word."""

    async def told(self: FakeBackend, ref: JobRef, authorization: str, body: bytes) -> bool:
        async with self._around("told"):
            return authorization == "Bearer fake"

    monkeypatch.setattr(FakeBackend, "told", told, raising=False)


@pytest.fixture
async def there(yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RemoteFake]:
    """The yard's site is a UNICORE server."""
    async with remote_fake(tmp_path / "remote", *self_signed(tmp_path)) as server:
        monkeypatch.setattr(registry, "kind", lambda name: unicore)
        async with yard.db.transaction() as session:
            await session.execute(update(Site).values(kind="unicore", url=server.url, tls_ca=server.ca))
        yield server


def running(there: RemoteFake) -> SiteJob:
    """A job as if it had run for a while; no process is behind it."""
    job = there.make({"Tags": ["mantik"], "haveClientStageIn": "true"})
    job.directory.mkdir()
    job.directory.joinpath("fence.1").touch()
    job.there = job.started = True
    job.status, job.ends_at = "RUNNING", datetime.now(UTC) + timedelta(days=30)
    for task in job.tasks:
        task.cancel()
    return job


async def followed(yard: Yard, jobs: Sequence[tuple[str, str]]) -> list[Told]:
    """A run for each job, by its id and location."""
    ids = {name: uuid.UUID(value) for name, value in yard.place.ids.items()}
    told = [Told(uuid.uuid4(), 1) for _ in jobs]
    async with yard.db.transaction() as session:
        for about, (job, location) in zip(told, jobs, strict=True):
            attempt = Attempt(id=uuid.uuid4(), run_id=about.run_id, n=1, tag=f"mantik-{about.run_id}-1")
            attempt.location = location
            run = Run(id=about.run_id, name="run", project_id=ids["projectId"], mlproject_path="MLproject")
            run.created_by = run.run_as = yard.caller.user_id
            run.experiment_repository_id = ids["experimentRepositoryId"]
            run.connection_id, run.site_id = ids["connectionId"], ids["siteId"]
            run.lineage_id, run.state = about.run_id, "RUNNING"
            session.add(run)
            await session.flush()
            session.add(attempt)
            await session.flush()
            row = Job(attempt_id=attempt.id, run_id=about.run_id, site_job_id=job, site_state="RUNNING")
            session.add(row)
        await want(session, f"{PREFIX}{yard.connection_id}", 0)
    return told


class Desk:
    """One gateway's polling, a tick at a time."""

    def __init__(self, yard: Yard, parts: Parts) -> None:
        self.yard = yard
        self.parts = parts
        self.poller = Poller(parts, LogCopy(parts))
        self.notices = Notices(parts, self.poller)

    async def claim(self) -> NamedLease:
        await self.yard.age_leases()
        await self.yard.pass_time()
        async with self.yard.db.transaction() as session:
            (lease,) = await claim_named(session, self.parts.owner, PREFIX, 60, 1)
        return lease

    async def give_back(self, lease: NamedLease) -> None:
        async with self.yard.db.transaction() as session:
            await release_named(session, lease, due_in=60)

    async def tick(self) -> None:
        lease = await self.claim()
        assert await self.poller.tick(lease) is not None
        await self.give_back(lease)

    async def put_off(self) -> None:
        """Nobody polls now, and the next sweep is an hour away."""
        async with self.yard.db.transaction() as session:
            await session.execute(update(Lease).values(owner=None, until=None, due_at=later(session, 3600)))

    async def due(self) -> datetime | None:
        async with self.yard.db.reading() as session:
            return await session.scalar(select(Lease.due_at).where(Lease.name.startswith(PREFIX)))


@pytest.fixture
async def desk(yard: Yard) -> Desk:
    engine = await yard.engine(start=False)
    return Desk(yard, engine.parts)


def message(there: RemoteFake, job: SiteJob) -> tuple[str, bytes]:
    body = {"href": f"{there.url}/jobs/{job.name}", "status": job.status, "statusMessage": ""}
    return f"Bearer {there.token()}", json.dumps(body).encode()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_sweep_is_a_small_question_for_each_run_and_none_for_those_just_told_of(
    yard: Yard, desk: Desk, there: RemoteFake
) -> None:
    jobs = [running(there) for _ in range(RUNS)]
    told = await followed(yard, [(job.name, f"{there.url}/jobs/{job.name}") for job in jobs])
    for _ in range(2):
        del there.asked[:]
        await desk.tick()
        assert len(there.asked) - there.asked.count(LOGIN) == RUNS

    due = await desk.due()
    del there.asked[:]
    for about, job in zip(told[:50], jobs[:50], strict=True):
        desk.notices.take(about, *message(there, job))
        desk.notices.take(about, *message(there, job))  # UNICORE 10 says some things twice
    await desk.notices.round()
    assert sorted(there.asked) == sorted(["GET /certificate", *(f"GET /jobs/{job.name}" for job in jobs[:50])])
    assert await desk.due() == due

    del there.asked[:]
    await desk.tick()
    assert len(there.asked) == RUNS - 50
    assert not any(job.name in asked for asked in there.asked for job in jobs[:50])
    del there.asked[:]
    await desk.tick()
    assert len(there.asked) == RUNS

    jobs[0].status, jobs[0].exit_code = "FAILED", 3
    jobs[0].message = "User application exited with non-zero exit code: <3>."
    desk.notices.take(told[0], *message(there, jobs[0]))
    await desk.notices.round()
    ended = await yard.run(told[0].run_id)
    assert (ended.state, ended.reason, ended.exit_code) == (State.FAILED, Reason.EXIT_CODE, 3)
    assert (await yard.run(told[1].run_id)).state == State.RUNNING


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_message_says_is_never_believed(yard: Yard, desk: Desk, there: RemoteFake) -> None:
    """Signed by the server, and wrong: the look that follows finds the job running."""
    job = running(there)
    (about,) = await followed(yard, [(job.name, f"{there.url}/jobs/{job.name}")])
    authorization, body = message(there, job)
    desk.notices.take(about, authorization, body.replace(b"RUNNING", b"FAILED"))
    await desk.notices.round()
    assert f"GET /jobs/{job.name}" in there.asked
    assert (await yard.run(about.run_id)).state == State.RUNNING


@pytest.mark.usefixtures("genuine")
async def test_an_end_is_known_before_the_next_sweep_is_due(yard: Yard, desk: Desk) -> None:
    run_id = await yard.submit(yard.waiting())
    engine = await yard.engine()
    job = await yard.until_running(run_id)
    await engine.stop()
    await desk.put_off()
    yard.go(run_id)
    assert job.task is not None
    await job.task
    due = await desk.due()
    desk.notices.take(Told(run_id, 1), "Bearer forged", b"{}")
    await desk.notices.round()
    assert (await yard.run(run_id)).state == State.RUNNING
    desk.notices.take(Told(run_id, 1), "Bearer fake", b"{}")
    await desk.notices.round()
    assert (await yard.run(run_id)).state == State.FINISHED
    assert await desk.due() == due


@pytest.mark.usefixtures("genuine")
async def test_a_notice_waits_while_the_connection_is_being_polled(yard: Yard, desk: Desk) -> None:
    run_id = await yard.submit(yard.waiting())
    engine = await yard.engine()
    await yard.until_running(run_id)
    await engine.stop()
    lease = await desk.claim()
    desk.notices.take(Told(run_id, 1), "Bearer fake", b"{}")
    polls = yard.faults.calls["poll"]
    await desk.notices.round()
    assert yard.faults.calls["poll"] == polls
    await desk.give_back(lease)
    await desk.notices.round()
    assert yard.faults.calls["poll"] == polls + 1
    await desk.notices.round()
    assert yard.faults.calls["poll"] == polls + 1


@pytest.mark.usefixtures("genuine")
async def test_a_notice_waits_for_its_run_to_be_stored_as_submitted(yard: Yard, desk: Desk) -> None:
    hanging = yard.faults.hang("start", "after")
    run_id = await yard.submit(yard.waiting())
    engine = await yard.engine()
    await hanging[0].wait()
    desk.notices.take(Told(run_id, 1), "Bearer fake", b"{}")
    await desk.notices.round()
    assert yard.faults.calls["told"] == 0
    hanging[1].set()
    await yard.until_running(run_id)
    await engine.stop()
    await desk.put_off()
    await desk.notices.round()
    assert yard.faults.calls["told"] == 1


@pytest.mark.usefixtures("genuine")
async def test_a_notice_that_comes_to_nothing_harms_nothing(yard: Yard, desk: Desk) -> None:
    run_id = await yard.submit(yard.waiting())
    engine = await yard.engine()
    await yard.until_running(run_id)
    await engine.stop()
    await desk.put_off()
    polls = yard.faults.calls["poll"]
    for method in ("told", "poll"):
        yard.faults.always(method, SiteUnavailable("The site does not answer."))
        desk.notices.take(Told(run_id, 1), "Bearer fake", b"{}")
        desk.notices.take(Told(uuid.uuid4(), 1), "Bearer fake", b"{}")
        await desk.notices.round()
        yard.faults.always(method, None)
    assert yard.faults.calls["poll"] == polls + 1
    assert (await yard.run(run_id)).state == State.RUNNING
    assert await yard.conditions(run_id) == {}
    lease = await desk.claim()  # given back
    await desk.give_back(lease)


@pytest.mark.usefixtures("genuine")
async def test_a_site_that_hangs_is_not_waited_for(yard: Yard, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices_module, "LOOK_SECONDS", 0.2)
    run_id = await yard.submit(yard.waiting())
    engine = await yard.engine()
    await yard.until_running(run_id)
    await engine.stop()
    await desk.put_off()
    due = await desk.due()
    yard.faults.hang("poll", "before")
    desk.notices.take(Told(run_id, 1), "Bearer fake", b"{}")
    async with asyncio.timeout(30):
        await desk.notices.round()
    assert (await yard.run(run_id)).state == State.RUNNING
    async with yard.db.reading() as session:
        lease = await session.scalar(select(Lease).where(Lease.name.startswith(PREFIX)))
    assert lease is not None
    assert (lease.owner, lease.due_at) == (None, due)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_site_gets_an_address_only_where_it_can_reach_the_gateway(yard: Yard, desk: Desk) -> None:
    run_id = uuid.uuid4()
    site = Site(name="site", kind="unicore", compute_nodes_reach_gateway="direct")
    behind = Site(name="site", kind="unicore", compute_nodes_reach_gateway="no")
    assert address(desk.parts, site, run_id, 1) == ""
    known = Settings(data_dir=yard.context.settings.data_dir, public_url=PUBLIC)
    parts = Parts("me", known, *(getattr(desk.parts, n) for n in ("db", "sites", "planner", "blobs", "tracking")))
    assert address(parts, behind, run_id, 1) == ""
    where, _, secret = address(parts, site, run_id, 1).rpartition("/")
    assert where == f"{PUBLIC}/api/v1/notifications"
    assert told_by(yard.context.vault, secret) == Told(run_id, 1)
