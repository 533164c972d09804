"""Projects."""

from fastapi import APIRouter, status

from gateway.api.dependencies import PAGE, CallerDep, ContextDep, Cursor, Limit, ProjectId
from gateway.projects import service
from gateway.schemas.projects import CreateProject, ProjectView
from gateway.schemas.wire import Page

router = APIRouter(prefix="/projects", tags=["Projects"])


@router.get("")
async def list_projects(
    context: ContextDep, caller: CallerDep, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[ProjectView]:
    return await service.listing(context.db, caller, cursor, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_project(context: ContextDep, caller: CallerDep, body: CreateProject) -> ProjectView:
    return await service.create(context.db, caller, body)


@router.get("/{projectId}")
async def show_project(context: ContextDep, caller: CallerDep, project_id: ProjectId) -> ProjectView:
    return await service.show(context.db, caller, project_id)


@router.put("/{projectId}")
async def change_project(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, body: CreateProject
) -> ProjectView:
    return await service.change(context.db, caller, project_id, body)


@router.delete("/{projectId}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_project(context: ContextDep, caller: CallerDep, project_id: ProjectId) -> None:
    await service.remove(context.db, caller, project_id)
