"""A job that tracks beside itself: the real endpoint of its script, and what it left, on a fake site."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import update

from backends.fake import FakeSite
from backends.fake.backend import FakeBackend
from backends.fake.job import FakeAttempt
from gateway.connections.rows import Connection
from gateway.db.lease import later
from gateway.db.session import Database
from gateway.engine.parts import Parts
from gateway.engine.replay import Replay
from gateway.runs.rows import Attempt, Job, Run
from gateway.settings import Settings
from gateway.sites.rows import Site
from gateway.tracking.client import TrackingClient
from gateway.tracking.proxy import TrackingProxy
from gateway.tracking.rows import TrackingJournal
from tests.gateway.tracking.house import Home, add_run

ENDPOINT = Path(__file__).parents[3] / "backends/job_script/tracking_endpoint.py"
STOP = signal.SIGRTMIN + 7


@contextlib.asynccontextmanager
async def endpoint(folder: Path, run_id: str, **variables: str) -> AsyncIterator[dict[str, str]]:
    """What a program of the job has in its environment. The endpoint ends as the job script ends it."""
    token = secrets.token_hex(16)
    folder.mkdir(exist_ok=True)
    (folder / "address").unlink(missing_ok=True)
    given = {"tracker_folder": str(folder), "tracker_run": run_id, "tracker_token": token, "tracker_name": "a run"}
    environment = {"PATH": os.environ["PATH"], **given, **variables}
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-B", str(ENDPOINT), env=environment)
    try:
        async with asyncio.timeout(20):
            while not (folder / "address").exists():
                assert process.returncode is None
                await asyncio.sleep(0.02)
        address = (folder / "address").read_text().strip()
        told = {"MLFLOW_TRACKING_TOKEN": token, "MLFLOW_RUN_ID": run_id}
        yield {"MLFLOW_TRACKING_URI": address, "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", **told}
        process.send_signal(STOP)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Bench:
    """A run on a fake site whose attempt holds a copy of a folder `tracking`."""

    def __init__(self, db: Database, client: TrackingClient, run: Run) -> None:
        self.db = db
        self.run = run
        self.site = FakeSite()
        self.attempt = FakeAttempt(f"/fake/{run.id}/1", self.site.runs[str(run.id)], "1")
        self.site.attempts[self.attempt.location] = self.attempt
        sites = SimpleNamespace(backend=self._backend)
        doors: Any = (Settings(data_dir=Path("unused")), db, sites, None, None, client)
        self.work: list[asyncio.Future[None]] = []
        self.replay = Replay(Parts("a gateway", *doors), TrackingProxy(db, client), self._spawn)

    @classmethod
    async def of(cls, db: Database, client: TrackingClient, home: Home) -> "Bench":
        async with db.transaction() as session:
            site = Site(name=f"site-{secrets.token_hex(4)}", kind="fake")
            session.add(site)
            await session.flush()
            connection = Connection(
                owner_id=home.user.id, site_id=site.id, name=site.name, provider="Fake", auth_method="None"
            )
            session.add(connection)
        run = await add_run(db, home, connection_id=connection.id, site_id=site.id)
        async with db.transaction() as session:
            attempt = Attempt(run_id=run.id, n=1, tag=f"mantik-{run.id}-1", location=f"/fake/{run.id}/1")
            session.add(attempt)
            await session.flush()
            session.add(Job(attempt_id=attempt.id, run_id=run.id, site_job_id="7"))
            session.add(TrackingJournal(run_id=run.id, due_at=later(session, 0)))
        return cls(db, client, run)

    async def _backend(self, connection_id: object) -> FakeBackend:
        return FakeBackend(self.site)

    def _spawn(self, work: Awaitable[None]) -> None:
        self.work.append(asyncio.ensure_future(work))

    def take(self, folder: Path, bytes_of_journal: int | None = None) -> None:
        """What the site shows now: the first bytes of the journal, and all files."""
        for path in folder.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                whole = path.name != "journal" or bytes_of_journal is None
                name = f"1/tracking/{path.relative_to(folder)}"
                self.site.runs[str(self.run.id)].write(name, data if whole else data[:bytes_of_journal])

    async def ended(self, state: str = "FINISHED") -> None:
        async with self.db.transaction() as session:
            values = {"state": state, "ended_at": later(session, 0)}
            await session.execute(update(Run).where(Run.id == self.run.id).values(**values))

    async def look(self) -> TrackingJournal:
        """One look at the journal, due or not."""
        async with self.db.transaction() as session:
            await session.execute(update(TrackingJournal).values(due_at=later(session, -1)))
        await self.replay.turn()
        await asyncio.gather(*self.work)
        async with self.db.reading() as session:
            return cast(TrackingJournal, await session.get_one(TrackingJournal, self.run.id))
