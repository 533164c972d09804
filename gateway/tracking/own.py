"""MLflow's run of a run: one way to have it, for the engine and for a job that asks first."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select, update

from gateway.db.session import Database
from gateway.repositories import experiments
from gateway.runs.rows import Run
from gateway.tracking.client import TrackingClient
from gateway.users.rows import User


async def ensure_own_run(
    database: Database, client: TrackingClient, run_id: UUID, tags: Mapping[str, str], *, first_try: bool = False
) -> str:
    """MLflow's id of the run, made and stored if there is none. May be repeated and raced: all get the same one.

    `tags` are for one that is made now. `first_try`: nobody tried before, so that there is none to be searched."""
    async with database.reading() as session:
        run = await session.get_one(Run, run_id)
        user = await session.get_one(User, run.created_by)
    if run.mlflow_run_id is not None:
        return run.mlflow_run_id
    made = await client.ensure_run(
        experiment_id=await experiments.complete(database, client, run.experiment_repository_id),
        run_id=run.id,
        name=run.name,
        user=user.name,
        tags=tags,
        start_time=run.created_at,
        first_try=first_try,
    )
    async with database.transaction() as session:
        linked = update(Run).where(Run.id == run_id, Run.mlflow_run_id.is_(None)).values(mlflow_run_id=made)
        await session.execute(linked)
        kept = str(await session.scalar(select(Run.mlflow_run_id).where(Run.id == run_id)))
    if kept != made:
        await client.delete_run(made)
    return kept
