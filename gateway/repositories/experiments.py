"""Experiment repositories: each is one MLflow experiment, made at once or, when MLflow is away, later."""

import asyncio
import logging
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.audit.service import record
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Conflict, GatewayError, NotFound
from gateway.models.rows import TrainedModel
from gateway.projects.access import require
from gateway.repositories.rows import ExperimentRepository
from gateway.runs.rows import Run
from gateway.schemas.projects import CreateExperiment, ExperimentView
from gateway.schemas.wire import Page
from gateway.tracking.client import TrackingClient
from gateway.tracking.names import experiment_name
from gateway.users.caller import Caller

_log = logging.getLogger(__name__)


async def create(
    db: Database, tracking: TrackingClient, caller: Caller, project_id: UUID, body: CreateExperiment, wait: float
) -> ExperimentView:
    """Store it, then make the MLflow experiment for at most `wait` seconds; the engine makes it later otherwise."""
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "researcher")
            row = ExperimentRepository(project_id=project_id, **body.model_dump())
            session.add(row)
            await session.flush()
            record(session, caller, "experiment.create", "experiment", row.id, name=body.name)
    except IntegrityError:
        raise _taken(body.name) from None
    try:
        await asyncio.wait_for(complete(db, tracking, row.id), wait)
    except (TimeoutError, OSError, GatewayError) as error:
        _log.warning("experiment %s waits for MLflow: %s", row.id, type(error).__name__)
    async with db.reading() as session:
        return _view(await session.get_one(ExperimentRepository, row.id))


async def complete(db: Database, tracking: TrackingClient, experiment_id: UUID) -> str:
    """The id of its MLflow experiment, made now if it was not yet. Repeatable; also called by the engine."""
    async with db.reading() as session:
        row = await session.get_one(ExperimentRepository, experiment_id)
    if row.mlflow_experiment_id is not None:
        return row.mlflow_experiment_id
    made = await tracking.ensure_experiment(experiment_name(row.project_id, row.name))
    async with db.transaction() as session:
        await session.execute(
            update(ExperimentRepository)
            .where(ExperimentRepository.id == experiment_id, ExperimentRepository.mlflow_experiment_id.is_(None))
            .values(mlflow_experiment_id=made.id, artifact_location=made.artifact_location)
        )
    return made.id


async def listing(
    db: Database, caller: Caller, project_id: UUID, cursor: str | None, limit: int
) -> Page[ExperimentView]:
    async with db.reading() as session:
        await require(session, caller, project_id, "guest")
        statement = select(ExperimentRepository).where(ExperimentRepository.project_id == project_id)
        rows, following = await fetch(session, statement, ExperimentRepository, cursor, limit)
    return Page(items=[_view(row) for row in rows], next_cursor=following)


async def show(db: Database, caller: Caller, project_id: UUID, experiment_id: UUID) -> ExperimentView:
    async with db.reading() as session:
        await require(session, caller, project_id, "guest")
        return _view(await _row(session, project_id, experiment_id))


async def change(
    db: Database, caller: Caller, project_id: UUID, experiment_id: UUID, body: CreateExperiment
) -> ExperimentView:
    """Replace the description. The name is that of the experiment in MLflow, so it stays."""
    async with db.transaction() as session:
        await require(session, caller, project_id, "researcher")
        row = await _row(session, project_id, experiment_id)
        if body.name != row.name:
            raise Conflict("name: an experiment keeps its name, which is its name in MLflow too; make another one.")
        row.description = body.description
        record(session, caller, "experiment.change", "experiment", row.id, name=body.name)
    return _view(row)


async def remove(db: Database, caller: Caller, project_id: UUID, experiment_id: UUID) -> None:
    """Forget a repository that no run and no model uses; its experiment in MLflow stays."""
    async with db.transaction() as session:
        await require(session, caller, project_id, "maintainer")
        row = await _row(session, project_id, experiment_id)
        used = select(Run.id).where(Run.experiment_repository_id == experiment_id).limit(1)
        if (await session.scalars(used)).one_or_none() is not None:
            raise Conflict("An experiment repository that has runs stays.")
        files = f"mlflow-artifacts:/{row.mlflow_experiment_id}/"
        holds = select(TrainedModel.id).where(TrainedModel.source.startswith(files, autoescape=True)).limit(1)
        if (await session.scalars(holds)).one_or_none() is not None:
            raise Conflict(
                "An experiment repository that holds the files of a model stays.",
                next_step="Unregister the model first; see `mantik models list`.",
            )
        await session.delete(row)
        record(session, caller, "experiment.delete", "experiment", experiment_id, name=row.name)


async def unique_run_name(db: Database, caller: Caller, project_id: UUID, experiment_id: UUID, name: str) -> str:
    """The name, or the first of `<name>-2`, `<name>-3`, ... that no run of the experiment has."""
    await show(db, caller, project_id, experiment_id)
    async with db.reading() as session:
        statement = select(Run.name).where(
            Run.experiment_repository_id == experiment_id, Run.name.startswith(name, autoescape=True)
        )
        taken = set(await session.scalars(statement))
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


async def _row(session: AsyncSession, project_id: UUID, experiment_id: UUID) -> ExperimentRepository:
    row = await session.get(ExperimentRepository, experiment_id)
    if row is None or row.project_id != project_id:
        raise NotFound("The project has no such experiment repository.")
    return row


def _taken(name: str) -> Conflict:
    return Conflict(f"name: the project has an experiment repository {name!r} already; choose another name.")


def _view(row: ExperimentRepository) -> ExperimentView:
    return ExperimentView(
        experiment_repository_id=row.id,
        name=row.name,
        description=row.description,
        mlflow_experiment_id=row.mlflow_experiment_id,
        artifact_location=row.artifact_location,
        created_at=row.created_at,
    )
