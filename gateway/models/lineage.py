"""Where a model comes from: run, commit, job, site, account and cost."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.models.cost import Cost, cost_of
from gateway.models.rows import TrainedModel
from gateway.runs.rows import Attempt, Condition, Job, Manifest, Run
from gateway.runs.states import ConditionName
from gateway.sites.rows import Site
from gateway.tracking.model_versions import MODEL_TAG, PROJECT_TAG

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """The run of a model, as it is now; a deleted run keeps its place here."""

    run: Run
    site: str | None = None
    job_id: str | None = None
    account: str | None = None
    """That was billed, or else asked for."""
    cost: Cost = field(default_factory=Cost)
    incomplete: bool = False
    """The run's end is still being collected: the cost may come."""


async def origins(session: AsyncSession, run_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Origin]:
    """By run."""
    collecting = and_(Condition.run_id == Run.id, Condition.name == ConditionName.COLLECTING)
    rows = await session.execute(
        select(Run, Site.name, Job, Manifest.config, Condition.name)
        .join(Site, Site.id == Run.site_id, isouter=True)
        .join(Job, and_(Job.run_id == Run.id, Job.current), isouter=True)
        .join(Attempt, Attempt.id == Job.attempt_id, isouter=True)
        .join(Manifest, Manifest.run_id == Run.id, isouter=True)
        .join(Condition, collecting, isouter=True)
        .where(Run.id.in_(set(run_ids)))
        .order_by(Attempt.n)
    )
    # Of several attempts the last one ran.
    return {run.id: _origin(run, site, job, config, waits) for run, site, job, config, waits in rows}


def tags_of(model: TrainedModel, origin: Origin | None) -> dict[str, str]:
    """For the version in MLflow; what is not known says so."""
    known = {MODEL_TAG: str(model.id), PROJECT_TAG: str(model.project_id)}
    if origin is None:
        return known
    run, cost = origin.run, origin.cost
    values: dict[str, Any] = {
        "mantik.runId": run.id,
        "mantik.commit": run.commit or run.requested_commit,
        "mantik.jobId": origin.job_id,
        "mantik.site": origin.site,
        "mantik.computeBudgetAccount": origin.account,
        "mantik.elapsedSeconds": cost.elapsed_seconds,
        "mantik.nodeHours": cost.node_hours,
        "mantik.cpuHours": cost.cpu_hours,
        "mantik.gpuHours": cost.gpu_hours,
    }
    return known | {name: UNKNOWN if value is None else str(value) for name, value in values.items()}


def _origin(run: Run, site: str | None, job: Job | None, config: dict[str, Any] | None, waits: str | None) -> Origin:
    usage, hosts = (job.usage, job.nodes) if job is not None else ({}, "")
    resources = (config or {}).get("Resources") or {}
    return Origin(
        run=run,
        site=site,
        job_id=job.site_job_id if job is not None else None,
        account=(job.account if job is not None else "") or run.compute_budget_account,
        cost=cost_of(usage, hosts, resources, run.started_at, run.ended_at),
        incomplete=waits is not None,
    )
