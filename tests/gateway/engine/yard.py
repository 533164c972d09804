"""Where engines are tested: one place with one fake site. Time passes when a test says so, by ageing what waits."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import select, update

from backends.fake import FakeJob, FakeSite
from backends.fake.faults import Faults, When
from backends.spec import Phase
from gateway import clock
from gateway.context import Context
from gateway.db.lease import Lease, later
from gateway.engine.engine import Engine, new_owner
from gateway.engine.parts import Parts
from gateway.engine.sites import Sites
from gateway.logs import service as logs
from gateway.mlproject import EntryPointCommand, ProjectReader
from gateway.repositories.rows import CodeRepository
from gateway.runs import intake
from gateway.runs.rows import Attempt, Condition, Event, Job, Run
from gateway.runs.states import State
from gateway.schemas.runs import SubmitRun
from gateway.sites.rows import Site
from gateway.users.caller import Caller
from tests.gateway.fake_mlflow import FakeMlflow
from tests.gateway.world import Place, World

PATIENCE = 60.0


class Commands(ProjectReader):
    """Takes the parameter `do` as the command, without MLflow's reader, which takes seconds to start."""

    async def command(
        self, bundle: Path, mlproject: str, entry_point: str, parameters: Mapping[str, object]
    ) -> EntryPointCommand:
        return EntryPointCommand(str(parameters.get("do", "hello")), ".")


class HangingFaults(Faults):
    """Faults, and calls that hang: done or not, their answer does not come until the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: dict[str, asyncio.Event] = {}
        """Every call of such a method waits for its gate."""
        self._hangs: dict[tuple[str, When], tuple[asyncio.Event, asyncio.Event]] = {}

    def hang(self, method: str, when: When) -> tuple[asyncio.Event, asyncio.Event]:
        """The next call hangs. The first event is set when it does; setting the second one lets it go on."""
        events = self._hangs[(method, when)] = (asyncio.Event(), asyncio.Event())
        return events

    @asynccontextmanager
    async def around(self, method: str) -> AsyncIterator[None]:
        async with super().around(method):
            if gate := self.gates.get(method):
                await gate.wait()
            await self._hang(method, "before")
            yield
            await self._hang(method, "after")

    async def _hang(self, method: str, when: When) -> None:
        if (events := self._hangs.pop((method, when), None)) is not None:
            events[0].set()
            await events[1].wait()


class Yard:
    def __init__(self, context: Context, site: FakeSite, mlflow: FakeMlflow) -> None:
        self.context = context
        self.db = context.db
        self.site = site
        self.mlflow = mlflow
        self.place = Place({}, {})
        self.caller = Caller(uuid.uuid4(), "")
        self._engines: list[Engine] = []

    @property
    def faults(self) -> HangingFaults:
        assert isinstance(self.site.faults, HangingFaults)
        return self.site.faults

    async def furnish(self, world: World, project: Path) -> None:
        self.place = await world.place()
        self.caller = (await world.person("owner")).caller
        quick = {"kind": "fake", "poll_seconds_min": 0.02, "poll_seconds_max": 0.05, "name": "fake"}
        async with self.db.transaction() as session:
            await session.execute(update(Site).values(**quick))
            await session.execute(update(CodeRepository).values(uri=str(project)))

    @property
    def connection_id(self) -> uuid.UUID:
        return uuid.UUID(self.place.ids["connectionId"])

    @property
    def project_id(self) -> uuid.UUID:
        return uuid.UUID(self.place.ids["projectId"])

    async def engine(self, *, start: bool = True, **limits: int) -> Engine:
        """One more gateway process on this database."""
        context = self.context
        sites = Sites(self.db, context.vault)
        doors = (context.settings, self.db, sites, context.planner, context.blobs, context.tracking)
        engine = Engine(Parts(new_owner(), *doors, messengers=context.messengers), **limits)
        self._engines.append(engine)
        if start:
            await engine.start()
        return engine

    async def kill(self, engine: Engine) -> None:
        """As kill -9: its tasks end where they are, and what it holds stays held."""
        self._engines.remove(engine)
        tasks = [*engine._loops, *engine._work]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        for engine in list(self._engines):
            await engine.stop()
        for job in self.site.jobs.values():
            if job.task is not None:
                job.task.cancel()

    def body(self, do: str = "hello", *, config: Mapping[str, object] | None = None, **body: object) -> SubmitRun:
        values: dict[str, object] = {
            "name": "run",
            "experiment_repository_id": self.place.ids["experimentRepositoryId"],
            "code_repository_id": self.place.ids["codeRepositoryId"],
            "branch": "main",
            "mlflow_parameters": {"do": do},
            "backend_config": {"Site": "fake", "Resources": {"Queue": "batch"}, **(config or {})},
        }
        return SubmitRun.model_validate({**values, **body})

    async def submit(
        self, do: str = "hello", *, config: Mapping[str, object] | None = None, **body: object
    ) -> uuid.UUID:
        asked = self.body(do, config=config, **body)
        answer = await intake.submit(self.db, self.context.settings, self.caller, self.project_id, asked)
        return answer.run_id

    def program(self, act: Callable[[FakeJob], Awaitable[int]]) -> str:
        return self.site.program(act)

    def waiting(self) -> str:
        """A command that runs until `outputs/go` is there."""

        async def wait(job: FakeJob) -> int:
            job.log("waits\n")
            await job.files.wait_for("outputs/go")
            return 0

        return self.program(wait)

    def go(self, run_id: uuid.UUID) -> None:
        self.site.runs[str(run_id)].write("outputs/go", b"")

    async def run(self, run_id: uuid.UUID) -> Run:
        async with self.db.reading() as session:
            return await session.get_one(Run, run_id)

    async def attempts(self, run_id: uuid.UUID) -> list[Attempt]:
        async with self.db.reading() as session:
            return list(await session.scalars(select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.n)))

    async def jobs(self, run_id: uuid.UUID) -> list[Job]:
        async with self.db.reading() as session:
            return list(await session.scalars(select(Job).where(Job.run_id == run_id).order_by(Job.created_at)))

    async def events(self, run_id: uuid.UUID, kind: str | None = None) -> list[Event]:
        async with self.db.reading() as session:
            rows = await session.scalars(select(Event).where(Event.run_id == run_id).order_by(Event.id))
            return [e for e in rows if kind in (None, e.kind)]

    async def way(self, run_id: uuid.UUID) -> list[str | None]:
        """The states the run went through."""
        return [e.to_state for e in await self.events(run_id, "state")]

    async def conditions(self, run_id: uuid.UUID) -> dict[str, str]:
        async with self.db.reading() as session:
            rows = await session.scalars(select(Condition).where(Condition.run_id == run_id))
            return {c.name: c.text for c in rows}

    async def log(self, run_id: uuid.UUID) -> bytes:
        pieces = logs.pieces(self.db, self.context.blobs, run_id, logs.Position(0, 0))
        return b"".join([piece.data async for piece in pieces])

    async def pass_time(self) -> None:
        """What waits for a time to come is due now. What an engine holds just now it decides itself."""
        for waits, key in ((Run.due_at, Run.id), (Run.tracking_due_at, Run.id), (Lease.due_at, Lease.name)):
            async with self.db.transaction() as session:
                now = later(session, 0)
                idle = select(key).where(waits > now).with_for_update(skip_locked=True).cte()
                table = update(waits.class_).where(key.in_(select(idle.c[0])))
                await session.execute(table.values({waits.key: now}).execution_options(synchronize_session=False))

    async def age_conditions(self, seconds: float) -> None:
        """What is shown now has been shown for so long already."""
        async with self.db.transaction() as session:
            await session.execute(update(Condition).values(since=later(session, -seconds)))

    async def age_leases(self) -> None:
        """As long ago as it takes until another may take what a dead gateway held."""
        async with self.db.transaction() as session:
            past = later(session, -1)
            await session.execute(update(Run).where(Run.lease_owner.is_not(None)).values(lease_until=past))
            await session.execute(update(Lease).where(Lease.owner.is_not(None)).values(until=past))

    async def until(self, check: Callable[[], Awaitable[bool]], what: str) -> None:
        """Let time pass until it is so."""
        end = time.monotonic() + PATIENCE
        while not await check():
            assert time.monotonic() < end, f"not in {PATIENCE} s: {what}"
            await self.pass_time()
            await asyncio.sleep(0.02)

    async def until_state(self, run_id: uuid.UUID, *states: State) -> Run:
        async def reached() -> bool:
            return (await self.run(run_id)).state in states

        try:
            await self.until(reached, f"{states}")
        except AssertionError as error:
            events = [f"{e.kind}: {e.text}" for e in await self.events(run_id)]
            raise AssertionError(f"{error}\n" + "\n".join(events)) from None
        return await self.run(run_id)

    async def until_quiet(self, run_id: uuid.UUID) -> Run:
        """Ended, all collected, MLflow told, and nothing left that is due."""

        async def quiet() -> bool:
            run = await self.run(run_id)
            left = await self.conditions(run_id)
            at_rest = run.lease_owner is None and run.due_at is None and run.tracking_due_at is None
            return run.ended_at is not None and "COLLECTING" not in left and at_rest

        try:
            await self.until(quiet, "quiet")
        except AssertionError as error:
            run = await self.run(run_id)
            waits = (run.state, run.lease_owner, run.lease_until, run.due_at, run.tracking_due_at)
            told = [f"{e.kind}: {e.text}" for e in await self.events(run_id)]
            raise AssertionError(f"{error}\n{waits}\n{await self.conditions(run_id)}\n" + "\n".join(told)) from None
        return await self.run(run_id)

    async def until_deleted(self, run_id: uuid.UUID) -> Run:
        async def gone() -> bool:
            return (await self.run(run_id)).deleted_at is not None

        await self.until(gone, "deleted")
        return await self.run(run_id)

    async def pause_site(self, *, paused: bool = True) -> None:
        async with self.db.transaction() as session:
            await session.execute(update(Site).values(paused_at=clock.now() if paused else None))

    async def until_any_condition(self, run_id: uuid.UUID) -> None:
        async def reached() -> bool:
            return bool(await self.conditions(run_id))

        await self.until(reached, "a condition")

    async def until_condition(self, run_id: uuid.UUID, name: str, *, there: bool = True) -> None:
        async def reached() -> bool:
            return (name in await self.conditions(run_id)) is there

        await self.until(reached, f"{name}: {there}")

    def copies(self, run_id: uuid.UUID) -> list[FakeJob]:
        """Jobs of the run on the site, in the order of their submission."""
        return [job for job in self.site.jobs.values() if f"mantik-{run_id}-" in job.ref.handle.tag]

    def job(self, run_id: uuid.UUID) -> FakeJob:
        (job,) = self.copies(run_id)
        return job

    async def until_running(self, run_id: uuid.UUID) -> FakeJob:
        """The newest copy on the site runs, and the gateway knows."""
        await self.until_state(run_id, State.RUNNING)
        job = self.copies(run_id)[-1]
        assert job.phase is Phase.RUNNING
        return job
