"""Keeps MLflow's run in step with ours. An outage of MLflow delays this and nothing else."""

import asyncio
import json
import uuid
from dataclasses import dataclass

from sqlalchemy import select, update

from gateway.db.lease import later
from gateway.engine.parts import Parts, back_off
from gateway.errors import GatewayError
from gateway.runs.moves import clear_conditions, set_condition
from gateway.runs.rows import Job, Manifest, Run
from gateway.runs.states import FINAL, ConditionName, State, mlflow_status
from gateway.sites.rows import Site
from gateway.tracking.client import TrackingUnavailable
from gateway.tracking.own import ensure_own_run

RETRY_SECONDS = 0.25
HELD_SECONDS = 60.0
"""How long one gateway has for bringing a run up to date before another may."""


AWAY_SECONDS = 10.0
"""How long no run waits for an MLflow that did not answer another run in time."""


@dataclass(slots=True)
class Tracker:
    """Safe to repeat: creates search first, updates set what is so."""

    parts: Parts
    _away_until: float = 0.0
    _doubtful: bool = False
    """Whether MLflow did not answer when it was last asked."""
    _probing: bool = False

    async def make_run(self, run_id: uuid.UUID, *, first_try: bool = False) -> None:
        """Have MLflow's run before the job starts, if MLflow answers in time; the job goes on without it if not.

        `first_try`: nobody tried before, so that there is none to be searched."""
        if self.away or (self._doubtful and self._probing):
            return await self._behind(run_id, TrackingUnavailable().message)
        self._probing = True
        try:
            # One that was away is asked once, by one run.
            patience = 0.0 if self._doubtful else self.parts.settings.tracking_timeout_seconds
            await self._make_within(patience, run_id, first_try=first_try)
        except GatewayError as error:
            self._away(error)
            await self._behind(run_id, error.message)
        finally:
            self._probing = False

    async def _make_within(self, seconds: float, run_id: uuid.UUID, *, first_try: bool) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + seconds
        while True:
            try:
                await self._ensure(run_id, first_try=first_try)
                self._doubtful = False
                return
            except GatewayError:
                first_try = False
                if now() >= deadline or self.away:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    @property
    def away(self) -> bool:
        """MLflow did not answer lately: runs go on without it, and only one at a time asks again."""
        return asyncio.get_running_loop().time() < self._away_until

    def _away(self, error: GatewayError) -> None:
        if isinstance(error, TrackingUnavailable):
            self._away_until = asyncio.get_running_loop().time() + AWAY_SECONDS
            self._doubtful = True

    async def due(self, limit: int) -> list[uuid.UUID]:
        """Runs whose MLflow run is behind; each is ours for a while."""
        async with self.parts.db.transaction() as session:
            now = later(session, 0)
            waiting = select(Run.id).where(
                Run.tracking_due_at <= now, Run.deleted_at.is_(None), Run.origin == "submitted"
            )
            first = waiting.order_by(Run.tracking_due_at).limit(limit).with_for_update(skip_locked=True).cte()
            rows = await session.execute(
                update(Run)
                .where(Run.id.in_(select(first.c.id)), Run.tracking_due_at <= now)
                .values(tracking_due_at=later(session, HELD_SECONDS))
                .returning(Run.id)
                .execution_options(synchronize_session=False)
            )
            return list(rows.scalars())

    async def bring_up_to_date(self, run_id: uuid.UUID) -> None:
        """Status, times, tags, config and script; what fails is tried again later."""
        try:
            await self._update(run_id)
        except GatewayError as error:
            if self.away:
                self._away(error)
            await self._behind(run_id, error.message)

    async def _update(self, run_id: uuid.UUID) -> None:
        async with self.parts.db.reading() as session:
            run = await session.get_one(Run, run_id)
        if run.state == State.CREATED and run.cancel_requested_at is None:
            # Its MLflow run is made on the way to the site, with the commit known.
            await self._done(run, run.mlflow_status)
            return
        mlflow_run_id = await self._ensure(run_id)
        self._away_until, self._doubtful = 0.0, False
        await self.parts.tracking.set_tags(mlflow_run_id, await self._tags(run))
        if not run.tracking_files:
            await self._files(run, mlflow_run_id)
        status = mlflow_status(run.state)
        if status != run.mlflow_status or run.state in FINAL:
            await self.parts.tracking.update_run(mlflow_run_id, status, run.ended_at if run.state in FINAL else None)
        await self._done(run, status)

    async def _ensure(self, run_id: uuid.UUID, *, first_try: bool = False) -> str:
        async with self.parts.db.reading() as session:
            run = await session.get_one(Run, run_id)
        if run.mlflow_run_id is not None:
            return run.mlflow_run_id
        tags = await self._tags(run)
        return await ensure_own_run(self.parts.db, self.parts.tracking, run_id, tags, first_try=first_try)

    async def _tags(self, run: Run) -> dict[str, str]:
        async with self.parts.db.reading() as session:
            site = await session.get(Site, run.site_id) if run.site_id else None
            job = await session.scalar(select(Job).where(Job.run_id == run.id, Job.current))
            commit = await session.scalar(select(Manifest.commit).where(Manifest.run_id == run.id))
        values = {
            "mantik.projectId": str(run.project_id),
            "mantik.state": run.state,
            "mantik.reason": run.reason,
            "mantik.commit": commit,
            "mlflow.source.git.commit": commit,
            "mlflow.project.entryPoint": run.entry_point,
            "mantik.site": site.name if site else None,
            "mantik.computeBudgetAccount": run.compute_budget_account,
            "mantik.jobId": job.site_job_id if job else None,
        }
        return {name: str(value) for name, value in values.items() if value is not None}

    async def _files(self, run: Run, mlflow_run_id: str) -> None:
        async with self.parts.db.reading() as session:
            manifest = await session.get(Manifest, run.id)
        if manifest is None:
            return
        config = json.dumps(manifest.config, indent=2).encode()
        files = {"mantik/backend-config.json": config, "mantik/job.sh": manifest.script}
        await self.parts.tracking.log_artifacts(mlflow_run_id, files)
        async with self.parts.db.transaction() as session:
            await session.execute(update(Run).where(Run.id == run.id).values(tracking_files=True))

    async def _done(self, run: Run, status: str | None) -> None:
        async with self.parts.db.transaction() as session:
            # A move that came in meanwhile wants its own update: it is still due.
            same = (Run.id == run.id, Run.state == run.state)
            values = {"mlflow_status": status, "tracking_due_at": None, "tracking_failures": 0}
            await session.execute(update(Run).where(*same).values(**values))
            moved = (Run.id == run.id, Run.state != run.state)
            await session.execute(update(Run).where(*moved).values(tracking_due_at=later(session, 0)))
            await clear_conditions(session, run.id, ConditionName.TRACKING_BEHIND)

    async def _behind(self, run_id: uuid.UUID, text: str) -> None:
        async with self.parts.db.transaction() as session:
            failures = int(await session.scalar(select(Run.tracking_failures).where(Run.id == run_id)) or 0) + 1
            due = later(session, back_off(failures, 5.0))
            row = update(Run).where(Run.id == run_id).values(tracking_failures=failures, tracking_due_at=due)
            await session.execute(row)
            await set_condition(session, run_id, ConditionName.TRACKING_BEHIND, text)
