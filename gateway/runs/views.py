"""Runs as they are shown: rows joined with what belongs to them, in few queries however many runs."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.runs.rows import Attempt, Condition, Event, Job, Manifest, Run
from gateway.runs.states import FINAL, State, mlflow_status
from gateway.schemas.runs import ConditionView, EventView, JobView, PhaseView, RunDetails, RunView
from gateway.schemas.users import UserView
from gateway.sites.rows import Site
from gateway.users.rows import User

NOBODY = uuid.UUID(int=0)
"""Stands for a user whose name is not shown."""


@dataclass(slots=True)
class _Around:
    """What belongs to a page of runs."""

    users: dict[uuid.UUID, str] = field(default_factory=dict)
    sites: dict[uuid.UUID, str] = field(default_factory=dict)
    conditions: dict[uuid.UUID, list[ConditionView]] = field(default_factory=dict)
    jobs: dict[uuid.UUID, JobView] = field(default_factory=dict)


async def views(session: AsyncSession, runs: Sequence[Run], *, details: bool = True) -> list[RunView]:
    """One view per run, in order. Without `details` hosts, accounts and site users are left out (public projects)."""
    around = await _around(session, runs)
    return [RunView(**_fields(run, around, details)) for run in runs]


async def _around(session: AsyncSession, runs: Sequence[Run]) -> _Around:
    ids = [r.id for r in runs]
    around = _Around(users=await user_names(session, {r.created_by for r in runs}))
    sites = {r.site_id for r in runs if r.site_id}
    if sites:
        rows = await session.execute(select(Site.id, Site.name).where(Site.id.in_(sites)))
        around.sites = {row.id: row.name for row in rows}
    for c in await session.scalars(select(Condition).where(Condition.run_id.in_(ids)).order_by(Condition.since)):
        view = ConditionView(name=c.name, since=c.since, text=c.text)
        around.conditions.setdefault(c.run_id, []).append(view)
    jobs = select(Job, Attempt.n).join(Attempt, Attempt.id == Job.attempt_id)
    jobs = jobs.where(Job.run_id.in_(ids), Job.current).order_by(Attempt.n)
    for job, n in await session.execute(jobs):
        around.jobs[job.run_id] = _job(job, n)
    return around


def _job(job: Job, attempt: int) -> JobView:
    return JobView(
        site_job_id=job.site_job_id,
        attempt=attempt,
        site_state=job.site_state,
        pending_reason=job.pending_reason,
        restarts=job.restarts,
        account=job.account,
        nodes=job.nodes,
        usage=job.usage,
        seen_at=job.seen_at,
    )


def _fields(run: Run, around: _Around, details: bool) -> dict[str, object]:
    same = [
        "project_id",
        "name",
        "origin",
        "state",
        "reason",
        "message",
        "exit_code",
        "experiment_repository_id",
        "code_repository_id",
        "branch",
        "commit",
        "connection_id",
        "compute_budget_account",
        "mlproject_path",
        "entry_point",
        "mlflow_run_id",
        "created_at",
        "submitted_at",
        "queued_at",
        "started_at",
        "ended_at",
        "cancel_requested_at",
        "delete_requested_at",
    ]
    values: dict[str, object] = {name: getattr(run, name) for name in same}
    values |= {
        "run_id": run.id,
        "status": mlflow_status(run.state),
        "commit": run.commit or run.requested_commit,
        "conditions": around.conditions.get(run.id, []),
        "site_name": around.sites.get(run.site_id) if run.site_id else None,
        "user": UserView(user_id=run.created_by, name=around.users.get(run.created_by, "")),
        "job": around.jobs.get(run.id),
    }
    if not details:
        values |= {"connection_id": None, "site_name": None, "compute_budget_account": None, "job": None}
        values |= {"message": None, "conditions": [], "user": UserView(user_id=NOBODY, name="")}
    return values


async def user_names(session: AsyncSession, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    rows = await session.execute(select(User.id, User.name).where(User.id.in_(set(ids))))
    return {row.id: row.name for row in rows}


async def details_view(session: AsyncSession, run: Run, *, log_size: int, details: bool = True) -> RunDetails:
    """Everything of one run."""
    around = await _around(session, [run])
    manifest = await session.get(Manifest, run.id)
    moves = (await session.scalars(_moves(run.id))).all()
    newest = select(Attempt.location).where(Attempt.run_id == run.id).order_by(Attempt.n.desc()).limit(1)
    given = run.backend_config
    return RunDetails.model_validate(
        _fields(run, around, details)
        | {
            "mlflow_parameters": run.parameters,
            "backend_config": (given["path"] if set(given) == {"path"} else given) if details else {},
            "config": manifest.config if manifest and details else None,
            "command": manifest.command if manifest and details else None,
            "script": manifest.script.decode() if manifest and details else None,
            "script_sha256": manifest.script_sha256 if manifest else None,
            "submit_command": manifest.submit_command if manifest and details else [],
            "warnings": manifest.warnings if manifest and details else [],
            "phases": phases(moves, clock.now()),
            "lineage_id": run.lineage_id,
            "previous_run_id": run.previous_run_id,
            "log_size": log_size,
            "work_directory": (await session.scalar(newest)) if details else None,
        }
    )


def _moves(run_id: uuid.UUID):  # type: ignore[no-untyped-def]
    return select(Event).where(Event.run_id == run_id, Event.kind == "state").order_by(Event.id)


def phases(moves: Sequence[Event], now: datetime) -> list[PhaseView]:
    """How long the run was in each state; the final state has no length."""
    found = []
    for here, after in zip(moves, [*moves[1:], None], strict=True):
        if here.to_state is None:
            continue
        state = State(here.to_state)
        until = after.time if after is not None else (here.time if state in FINAL else now)
        seconds = max(0.0, (until - here.time).total_seconds())
        found.append(PhaseView.model_validate({"state": state, "entered_at": here.time, "seconds": round(seconds, 3)}))
    return found


async def event_views(session: AsyncSession, run_id: uuid.UUID, after: int, limit: int) -> list[EventView]:
    """Events past an id, oldest first."""
    query = select(Event).where(Event.run_id == run_id, Event.id > after).order_by(Event.id).limit(limit)
    rows = (await session.scalars(query)).all()
    names = await user_names(session, {r.actor_id for r in rows if r.actor_id})
    return [
        EventView(
            event_id=r.id,
            time=r.time,
            kind=r.kind,
            from_state=r.from_state,
            to_state=r.to_state,
            text=r.text,
            evidence=r.evidence,
            actor=UserView(user_id=r.actor_id, name=names.get(r.actor_id, "")) if r.actor_id else None,
        )
        for r in rows
    ]
