"""The run that an id of MLflow means: the published client puts MLFLOW_RUN_ID into the paths of runs."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.runs.rows import Run


async def run_of(session: AsyncSession, project_id: UUID, mlflow_run_id: UUID) -> UUID | None:
    """The one run of the project whose MLflow run it is; None when there is none, or more than one says so.

    Who reports a run names its MLflow run, so that two may name one; with dashes or without, as they were told it."""
    spellings = (mlflow_run_id.hex, str(mlflow_run_id))
    found = await session.scalars(
        select(Run.id)
        .where(Run.project_id == project_id, Run.mlflow_run_id.in_(spellings), Run.deleted_at.is_(None))
        .limit(2)
    )
    runs = found.all()
    return runs[0] if len(runs) == 1 else None
