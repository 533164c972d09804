"""Keeps MLflow's run in step with ours. An outage of MLflow delays this and nothing else."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, null, select, update

from gateway.db.lease import later
from gateway.engine.parts import Parts, back_off
from gateway.errors import GatewayError
from gateway.runs.moves import clear_conditions, set_condition
from gateway.runs.rows import Job, Manifest, Run
from gateway.runs.states import FINAL, ConditionName, mlflow_status
from gateway.sites.rows import Site
from gateway.tracking.client import TrackingUnavailable
from gateway.tracking.own import Linked, ensure_own_run

HELD_SECONDS = 60.0
"""How long one gateway has for bringing a run up to date before another may."""
AT_ONCE = 8
STEPS_ASIDE_SECONDS = 3.0
"""How long a run waits at least while others are on their way to a site."""
LATE_SECONDS = 60.0
"""From then on there are no more pauses between one run and the next."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run whose MLflow run is behind, ours for a while."""

    run_id: uuid.UUID
    tries: int
    """Since it was up to date, this one included. It is stored before the try."""
    late: bool


@dataclass(slots=True)
class Tracker:
    """Safe to repeat: what an earlier try made is searched, updates set what is so."""

    parts: Parts
    away: bool = False
    """Whether MLflow did not answer when it was last asked: one run at a time asks again."""

    async def turn(self, *, busy: bool) -> bool:
        """Bring runs up to date that wait for it; whether to go on without a pause.

        `busy`: runs are on their way to a site. MLflow may share the machine with the gateway, so only what waits for
        some seconds is told meanwhile, one by one with pauses, as long as nothing gets late."""
        due = await self.due(1 if busy or self.away else AT_ONCE, STEPS_ASIDE_SECONDS if busy else 0.0)
        await asyncio.gather(*(self.bring_up_to_date(run) for run in due))
        return bool(due) and not self.away and (not busy or due[0].late)

    async def due(self, limit: int, waiting_seconds: float = 0.0) -> Sequence[Due]:
        """Claim runs that are due for so long, those that wait longest first."""
        async with self.parts.db.reading() as session:  # costs no writer's lock while there is nothing to do
            waits = Run.tracking_due_at <= later(session, -waiting_seconds)
            if await session.scalar(select(Run.id).where(waits).limit(1)) is None:
                return []
        async with self.parts.db.transaction() as session:
            late = (Run.tracking_due_at <= later(session, -LATE_SECONDS)).label("late")
            rows = await session.execute(
                select(Run.id, Run.tracking_failures, late)
                .where(Run.tracking_due_at <= later(session, -waiting_seconds))
                .where(Run.deleted_at.is_(None), Run.origin == "submitted")
                .order_by(Run.tracking_due_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            found = [Due(row.id, row.tracking_failures + 1, bool(row.late)) for row in rows]
            if found:
                await session.execute(
                    update(Run)
                    .where(Run.id.in_([run.run_id for run in found]))
                    .values(tracking_due_at=later(session, HELD_SECONDS), tracking_failures=Run.tracking_failures + 1)
                    .execution_options(synchronize_session=False)
                )
        return found

    async def bring_up_to_date(self, due: Due) -> None:
        """Status, times, tags, config and script; what fails is tried again later."""
        try:
            await self._update(due)
            self.away = False
        except GatewayError as error:
            self.away = isinstance(error, TrackingUnavailable)
            await self._behind(due, error.message)

    async def _update(self, due: Due) -> None:
        run, tags = await self._load(due.run_id)
        linked = Linked(run.mlflow_run_id) if run.mlflow_run_id else await self._make(due, tags)
        if not linked.new:
            await self.parts.tracking.set_tags(linked.mlflow_run_id, tags)
        status = mlflow_status(run.state)
        if status != run.mlflow_status or run.state in FINAL:
            end = run.ended_at if run.state in FINAL else None
            await self.parts.tracking.update_run(linked.mlflow_run_id, status, end)
        files = run.tracking_files or await self._log_files(run.id, linked.mlflow_run_id)
        await self._done(due, run, mlflow_status=status, tracking_files=files)

    async def _make(self, due: Due, tags: dict[str, str]) -> Linked:
        first = due.tries == 1
        return await ensure_own_run(self.parts.db, self.parts.tracking, due.run_id, tags, first_try=first)

    async def _load(self, run_id: uuid.UUID) -> tuple[Run, dict[str, str]]:
        """The run and its tags."""
        async with self.parts.db.reading() as session:
            found = await session.execute(
                select(Run, Site.name, Job.site_job_id, Manifest.commit)
                .join(Site, Site.id == Run.site_id, isouter=True)
                .join(Job, and_(Job.run_id == Run.id, Job.current), isouter=True)
                .join(Manifest, Manifest.run_id == Run.id, isouter=True)
                .where(Run.id == run_id)
                .limit(1)
            )
            run, site, job, commit = found.one()
        values = {
            "mantik.projectId": run.project_id,
            "mantik.state": run.state,
            "mantik.reason": run.reason,
            "mantik.commit": commit,
            "mlflow.source.git.commit": commit,
            "mlflow.project.entryPoint": run.entry_point,
            "mantik.site": site,
            "mantik.computeBudgetAccount": run.compute_budget_account,
            "mantik.jobId": job,
        }
        return run, {name: str(value) for name, value in values.items() if value is not None}

    async def _log_files(self, run_id: uuid.UUID, mlflow_run_id: str) -> bool:
        """Whether config and script stand in MLflow; a run that was never planned has none."""
        async with self.parts.db.reading() as session:
            manifest = await session.get(Manifest, run_id)
        if manifest is None:
            return False
        config = json.dumps(manifest.config, indent=2).encode()
        files = {"mantik/backend-config.json": config, "mantik/job.sh": manifest.script}
        await self.parts.tracking.log_artifacts(mlflow_run_id, files)
        return True

    async def _done(self, due: Due, run: Run, **values: Any) -> None:
        async with self.parts.db.transaction() as session:
            # What came in meanwhile wants its own update: it is still due.
            same = and_(Run.state == run.state, Run.reason.is_not_distinct_from(run.reason))
            again = case((same, null()), else_=later(session, 0))
            row = update(Run).where(Run.id == run.id).values(tracking_failures=0, tracking_due_at=again, **values)
            await session.execute(row.execution_options(synchronize_session=False))
            if due.tries > 1:
                await clear_conditions(session, run.id, ConditionName.TRACKING_BEHIND)

    async def _behind(self, due: Due, text: str) -> None:
        async with self.parts.db.transaction() as session:
            again = later(session, back_off(due.tries, 5.0))
            await session.execute(update(Run).where(Run.id == due.run_id).values(tracking_due_at=again))
            await set_condition(session, due.run_id, ConditionName.TRACKING_BEHIND, text)
