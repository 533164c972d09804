"""10 000 schedules that are due at once: on one gateway, and on three of which one is killed every five seconds."""

import asyncio
import base64
import statistics
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.connections.rows import Connection, CredentialVersion
from gateway.db.session import Database
from gateway.migrations import upgrade
from gateway.projects.rows import Member, Project
from gateway.repositories.rows import CodeRepository, ExperimentRepository
from gateway.runs.rows import Run
from gateway.schedules import rounds
from gateway.schedules.rows import Firing, Schedule
from gateway.settings import Settings
from gateway.sites.rows import Site
from gateway.users.rows import User
from tests.bench.scene import UNLIMITED, folder, milliseconds, nowhere, postgres
from tests.bench.table import Figure
from tests.whole.gateway_process import GatewayProcess

MANY, GOAL_SECONDS, KILLED_SECONDS = 10_000, 5.0, 30.0
LEAD = timedelta(seconds=3)
LOOKS = 300
FAR = datetime(2100, 1, 1, tzinfo=UTC)
KEY = base64.urlsafe_b64encode(b"k" * 32).decode()


def measure(*, small: bool = False) -> list[Figure]:
    count, looks = (500, 20) if small else (MANY, LOOKS)
    found = []
    with ExitStack() as stack:
        here = stack.enter_context(folder())
        urls = {
            "PostgreSQL": [stack.enter_context(postgres()) for _ in range(3)],
            "SQLite": [f"sqlite+aiosqlite:///{here / f'{n}.db'}" for n in range(2)],
        }
        for name, (url, empty, *_) in urls.items():
            asyncio.run(_prepare(url, empty, count))
            found.append(asyncio.run(_idle(name, url, empty, looks, count)))
            with _gateway(here / name, url):
                found.append(asyncio.run(_burst(name, url, count)))
        shared = urls["PostgreSQL"][2]
        asyncio.run(_prepare(shared, None, count))
        gateways = [stack.enter_context(_gateway(here / f"gateway-{n}", shared)) for n in range(3)]
        found.append(asyncio.run(_killed(shared, gateways, count)))
    return found


async def _prepare(url: str, empty: str | None, count: int) -> None:
    await upgrade(url)
    if empty is not None:
        await upgrade(empty)
    db = Database(url)
    await _fill(db, count)
    await db.close()


@contextmanager
def _gateway(data: Path, url: str) -> Iterator[GatewayProcess]:
    settings = {"MANTIK_DATABASE_URL": url, "MANTIK_TRACKING_URI": nowhere(), "MANTIK_LOCAL_OPEN": "true"}
    gateway = GatewayProcess(data, **UNLIMITED, **settings, MANTIK_SECRET_KEYS=KEY, MANTIK_LEASE_SECONDS="3")
    gateway.http.headers["Authorization"] = "none"  # nobody logs in
    try:
        gateway.start(tracking=False)
        yield gateway
    finally:
        gateway.stop()


async def _burst(name: str, url: str, count: int) -> Figure:
    db = Database(url)
    at = await _due(db)
    times = await _watch(db, at, count)
    await db.close()
    p99 = next(seconds for seconds, there in times if there >= count * 0.99)
    text = f"{count} schedules, all rows after {times[-1][0]:.2f} s"
    return Figure.at_most(f"schedules due in one minute: rows exist, p99, {name}", GOAL_SECONDS, p99, text, " s")


async def _killed(url: str, gateways: list[GatewayProcess], count: int) -> Figure:
    db = Database(url)
    at = await _due(db)
    killing = asyncio.create_task(asyncio.to_thread(_kill, gateways, at))
    times = await _watch(db, at, count)
    await killing
    async with db.reading() as session:
        rows = await _count(session)
        runs = await session.scalar(select(func.count()).select_from(Run).where(Run.name.like("bench-%")))
        different = await session.scalar(select(func.count(func.distinct(Firing.run_id))))
    await db.close()
    double, lost = (runs or 0) - count, count - (different or 0)
    text = f"{count} schedules: {rows} firings, {runs} runs, {double} double, {lost} lost; two kills"
    figure = Figure.at_most("the same with 3 gateways, one killed every 5 s", KILLED_SECONDS, times[-1][0], text, " s")
    exact = double == lost == 0 and rows == count
    return figure if exact else Figure(figure.name, figure.goal, "double or lost", False, text)


def _kill(gateways: list[GatewayProcess], at: datetime) -> None:
    """The first in the middle of the first transactions, another five seconds later; each comes back at once."""
    time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()) + 0.3)
    for gateway, _ in zip(cycle(gateways), range(2), strict=False):
        gateway.kill()
        gateway.start(tracking=False)
        time.sleep(5)


async def _fill(db: Database, count: int) -> None:
    """One run, and so many schedules that repeat it. Their site is paused: what is measured ends with the rows."""
    now = datetime.now(UTC)
    ids = {name: uuid.uuid4() for name in ("user", "project", "site", "connection", "experiment", "code", "run")}
    user, project, site = ids["user"], ids["project"], ids["site"]
    connection = {"name": "here", "provider": "Local", "auth_method": "None", "site_id": site}
    repositories = {"experiment_repository_id": ids["experiment"], "code_repository_id": ids["code"]}
    who = {"project_id": project, "created_by": user, "run_as": user, "connection_id": ids["connection"]}
    async with db.transaction() as session:
        session.add_all([User(id=user, name="bench"), Site(id=site, name="bench", kind="local", paused_at=now)])
        await session.flush()
        session.add_all(
            [
                Project(id=project, name="bench", created_by=user),
                Connection(id=ids["connection"], owner_id=user, **connection),
            ]
        )
        await session.flush()
        session.add_all(
            [
                Member(project_id=project, user_id=user, role="owner"),
                CredentialVersion(connection_id=ids["connection"], version=1, created_at=now),
                ExperimentRepository(id=ids["experiment"], project_id=project, name="bench"),
                CodeRepository(id=ids["code"], project_id=project, name="bench", uri="https://git.example.org/a.git"),
            ]
        )
        await session.flush()
        run = {"id": ids["run"], "lineage_id": ids["run"], "site_id": site, "name": "run", "state": "FINISHED"}
        session.add(Run(**run, **who, **repositories, commit="c0ffee", mlproject_path="MLproject"))
        await session.flush()
        policies = {"overlap": "skip", "misfire": "skip", "misfire_most": 10, "grace_seconds": 600, "max_failures": 3}
        times = {"expression": "30 2 * * *", "zone": "Europe/Berlin", "next_at": FAR, "due_at": FAR, "changed_at": now}
        one = {**who, **policies, **times, "run_id": ids["run"], "state": "ACTIVE"}
        await session.execute(insert(Schedule), [one | {"name": f"bench-{n}"} for n in range(count)])


async def _due(db: Database) -> datetime:
    """All of them are, soon."""
    at = datetime.now(UTC) + LEAD
    async with db.transaction() as session:
        await session.execute(update(Schedule).where(Schedule.next_at.is_not(None)).values(next_at=at, due_at=at))
    return at


async def _watch(db: Database, at: datetime, count: int) -> list[tuple[float, int]]:
    """Seconds after the time, and how many firings there were."""
    found: list[tuple[float, int]] = []
    while not found or found[-1][1] < count:
        await asyncio.sleep(0.05)
        async with db.reading() as session:
            there = await _count(session)
        found.append(((datetime.now(UTC) - at).total_seconds(), there))
        assert found[-1][0] < 120, f"{there} firings after two minutes"
    return found


async def _count(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(Firing).where(Firing.run_id.is_not(None))) or 0


async def _idle(name: str, full: str, empty: str, looks: int, count: int) -> Figure:
    """One look with nothing due, at a full table and at an empty one, in turns."""
    settings = Settings(data_dir=Path("/nonexistent"))
    dbs = [Database(url) for url in (full, empty)]
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(looks):
        for db, seconds in zip(dbs, taken, strict=True):
            begin = time.perf_counter()
            await rounds.go(db, settings)
            seconds.append(time.perf_counter() - begin)
    for db in dbs:
        await db.close()
    one, other = (statistics.median(seconds) for seconds in taken)
    text = f"{milliseconds(one)} / {milliseconds(other)}, {looks} each"
    return Figure.at_most(f"a look at {count} schedules that are not due / at none, {name}", 3, one / other, text)
