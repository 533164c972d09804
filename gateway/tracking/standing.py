"""What a caller may see and do in MLflow, from the gateway's database."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.errors import InvalidInput, NotFound
from gateway.projects import access
from gateway.projects.rows import Member
from gateway.repositories.rows import ExperimentRepository
from gateway.runs.rows import Run
from gateway.schemas.projects import Role
from gateway.tracking.names import split_experiment
from gateway.users.caller import Caller


@dataclass(frozen=True, slots=True)
class OwnRun:
    """The run behind a run token."""

    run_id: UUID
    project_id: UUID
    experiment_repository_id: UUID
    experiment_id: str
    """In MLflow; empty while it is not there."""
    mlflow_run_id: str | None


async def own_run(session: AsyncSession, caller: Caller) -> OwnRun:
    experiment = (ExperimentRepository.id, ExperimentRepository.mlflow_experiment_id)
    found = await session.execute(
        select(Run.id, Run.project_id, *experiment, Run.mlflow_run_id)
        .join(ExperimentRepository, ExperimentRepository.id == Run.experiment_repository_id)
        .where(Run.id == caller.run_id)
    )
    run_id, project_id, repository_id, experiment_id, mlflow_run_id = found.one()
    return OwnRun(run_id, project_id, repository_id, experiment_id or "", mlflow_run_id)


async def projects_of(session: AsyncSession, experiment_ids: Iterable[str]) -> dict[str, UUID]:
    """By experiment; what belongs to no project, or to more than one, is left out."""
    wanted = set(experiment_ids)
    rows = await session.execute(
        select(ExperimentRepository.mlflow_experiment_id, ExperimentRepository.project_id).where(
            ExperimentRepository.mlflow_experiment_id.in_(wanted)
        )
    )
    found: dict[str, set[UUID]] = {}
    for experiment_id, project_id in rows:
        found.setdefault(str(experiment_id), set()).add(project_id)
    return {key: next(iter(projects)) for key, projects in found.items() if len(projects) == 1}


async def require(session: AsyncSession, caller: Caller, project_id: UUID, least: Role) -> bool:
    """Whether only what is public of the project may be shown. Raises NotFound and Forbidden."""
    project = await access.require(session, caller, project_id, least)
    return not await access.sees_details(session, caller, project)


async def own_projects(session: AsyncSession, caller: Caller, least: Role = "guest") -> set[UUID]:
    """Where the caller is a member with at least this role."""
    rows = await session.execute(select(Member.project_id).where(Member.user_id == caller.user_id))
    projects = set(rows.scalars())
    roles = {project: await access.role_of(session, caller, project) for project in projects}
    return {project for project, role in roles.items() if role is not None and access.at_least(role, least)}


async def own_experiments(session: AsyncSession, caller: Caller, least: Role) -> list[str]:
    """MLflow's ids of the experiments in the caller's own projects."""
    rows = await session.scalars(
        select(ExperimentRepository.mlflow_experiment_id)
        .where(ExperimentRepository.project_id.in_(await own_projects(session, caller, least)))
        .where(ExperimentRepository.mlflow_experiment_id.is_not(None))
        .order_by(ExperimentRepository.created_at)
    )
    ids = [str(experiment_id) for experiment_id in rows]
    mapped = await projects_of(session, ids)
    return [experiment_id for experiment_id in ids if experiment_id in mapped]


async def experiment_by_name(session: AsyncSession, caller: Caller, name: str) -> str:
    """MLflow's id of an experiment in the caller's projects: by its name in the gateway, or `<project id>/<name>`.

    Raises NotFound, and InvalidInput when several projects have one of this name.
    """
    project_id, bare = split_experiment(name)
    projects = {project_id} if project_id else await own_projects(session, caller)
    rows = await session.scalars(
        select(ExperimentRepository)
        .where(ExperimentRepository.name == bare)
        .where(ExperimentRepository.project_id.in_(projects))
        .where(ExperimentRepository.mlflow_experiment_id.is_not(None))
    )
    found = list(rows)
    if len(found) > 1:
        raise InvalidInput(
            f"Several of your projects have an experiment {bare}.",
            next_step="Name it <project id>/<experiment>, or set MLFLOW_EXPERIMENT_ID.",
        )
    if not found:
        raise NotFound(f"Experiment {bare} does not exist, or you may not see it.")
    return str(found[0].mlflow_experiment_id)


async def own_experiment_by_name(session: AsyncSession, caller: Caller, name: str) -> str:
    """The same for a run token, which has one experiment only."""
    own = await own_run(session, caller)
    project_id, bare = split_experiment(name)
    found = await session.scalar(
        select(ExperimentRepository.name)
        .where(ExperimentRepository.mlflow_experiment_id == own.experiment_id)
        .where(ExperimentRepository.project_id == own.project_id)
    )
    if found != bare or project_id not in (None, own.project_id):
        raise NotFound(f"Experiment {bare} is not the experiment of this run.")
    return own.experiment_id
