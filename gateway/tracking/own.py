"""MLflow's run of a run: one way to have it, for the engine and for a job that asks first."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update

from gateway.db.session import Database
from gateway.repositories import experiments
from gateway.repositories.rows import ExperimentRepository
from gateway.runs.rows import Run
from gateway.tracking.client import TrackingClient
from gateway.users.rows import User


@dataclass(frozen=True, slots=True)
class Linked:
    """The MLflow run of a run, as stored."""

    mlflow_run_id: str
    new: bool = False
    """Made by this call, so with its tags."""


async def ensure_own_run(
    database: Database, client: TrackingClient, run_id: UUID, tags: Mapping[str, str], *, first_try: bool = False
) -> Linked:
    """MLflow's run of the run, made and stored if there is none. May be repeated and raced: all get the same one.

    What an earlier try made and did not store is found by its tag. `first_try`: nobody tried before, which the caller
    has recorded, so that none is searched. `tags` are for one that is made now. Raises as the client."""
    async with client.making(run_id):
        run, user, experiment_id = await _load(database, run_id)
        if run.mlflow_run_id is not None:
            return Linked(run.mlflow_run_id)
        if experiment_id is None:
            experiment_id = await experiments.complete(database, client, run.experiment_repository_id)
        found = [] if first_try else await client.runs_of(experiment_id, run_id)
        there = found or [await client.create_run(experiment_id, run_id, run.name, user, tags, run.created_at)]
        kept = await _store(database, run_id, there[0])
        # What an earlier try asked for may have come after all.
        for other in there if first_try else await client.runs_of(experiment_id, run_id):
            if other != kept:
                await client.delete_run(other)
    return Linked(kept, new=not found and kept == there[0])


async def ensure_for_job(database: Database, client: TrackingClient, run_id: UUID) -> str:
    """As `ensure_own_run`, for the first call of a job that comes before the engine told MLflow of its run."""
    async with database.transaction() as session:
        tries = await session.scalar(
            update(Run)
            .where(Run.id == run_id, Run.mlflow_run_id.is_(None))
            .values(tracking_failures=Run.tracking_failures + 1)
            .returning(Run.tracking_failures)
            .execution_options(synchronize_session=False)
        )
    return (await ensure_own_run(database, client, run_id, {}, first_try=tries == 1)).mlflow_run_id


async def _load(database: Database, run_id: UUID) -> tuple[Run, str, str | None]:
    """The run, the name of who submitted it, and the MLflow id of its experiment if that is there."""
    async with database.reading() as session:
        found = await session.execute(
            select(Run, User.name, ExperimentRepository.mlflow_experiment_id)
            .join(User, User.id == Run.created_by)
            .join(ExperimentRepository, ExperimentRepository.id == Run.experiment_repository_id)
            .where(Run.id == run_id)
        )
        run, user, experiment_id = found.one()
    return run, user, experiment_id


async def _store(database: Database, run_id: UUID, mlflow_run_id: str) -> str:
    """The one that is stored: this, or what another gateway was faster with."""
    async with database.transaction() as session:
        linked = (
            update(Run)
            .where(Run.id == run_id, Run.mlflow_run_id.is_(None))
            .values(mlflow_run_id=mlflow_run_id)
            .returning(Run.id)
            .execution_options(synchronize_session=False)
        )
        if await session.scalar(linked) is not None:
            return mlflow_run_id
        return str(await session.scalar(select(Run.mlflow_run_id).where(Run.id == run_id)))
