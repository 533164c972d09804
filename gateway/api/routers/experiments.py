"""Experiment repositories; the paths with an id are those of the published client."""

from typing import Annotated

from fastapi import APIRouter, Query, status

from gateway.api.dependencies import PAGE, CallerDep, ContextDep, Cursor, ExperimentId, Limit, ProjectId
from gateway.repositories import experiments
from gateway.schemas.projects import CreateExperiment, ExperimentView
from gateway.schemas.wire import Page

router = APIRouter(prefix="/projects/{projectId}/experiments", tags=["Experiments"])
RunName = Annotated[str, Query(alias="runName", min_length=1, max_length=500)]


@router.get("")
async def list_experiments(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[ExperimentView]:
    return await experiments.listing(context.db, caller, project_id, cursor, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_experiment(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, body: CreateExperiment
) -> ExperimentView:
    wait = context.settings.tracking_timeout_seconds
    return await experiments.create(context.db, context.tracking, caller, project_id, body, wait)


@router.get("/{experimentRepositoryId}")
async def show_experiment(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, experiment_id: ExperimentId
) -> ExperimentView:
    return await experiments.show(context.db, caller, project_id, experiment_id)


@router.get("/{experimentRepositoryId}/unique-mlflow-run-name")
async def unique_run_name(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, experiment_id: ExperimentId, run_name: RunName
) -> str:
    return await experiments.unique_run_name(context.db, caller, project_id, experiment_id, run_name)


@router.put("/{experimentRepositoryId}")
async def change_experiment(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, experiment_id: ExperimentId, body: CreateExperiment
) -> ExperimentView:
    return await experiments.change(context.db, caller, project_id, experiment_id, body)


@router.delete("/{experimentRepositoryId}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_experiment(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, experiment_id: ExperimentId
) -> None:
    await experiments.remove(context.db, caller, project_id, experiment_id)
