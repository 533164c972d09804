"""Code repositories; the path with an id is that of the published client."""

from fastapi import APIRouter, status

from gateway.api.dependencies import PAGE, CallerDep, CodeId, ContextDep, Cursor, Limit, ProjectId
from gateway.repositories import code
from gateway.schemas.projects import CodeView, CreateCode
from gateway.schemas.wire import Page

router = APIRouter(prefix="/projects/{projectId}/code", tags=["Code"])


@router.get("")
async def list_code(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[CodeView]:
    return await code.listing(context.db, caller, project_id, cursor, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_code(context: ContextDep, caller: CallerDep, project_id: ProjectId, body: CreateCode) -> CodeView:
    return await code.create(context.db, context.settings, caller, project_id, body)


@router.get("/{codeRepositoryId}")
async def show_code(context: ContextDep, caller: CallerDep, project_id: ProjectId, code_id: CodeId) -> CodeView:
    return await code.show(context.db, caller, project_id, code_id)


@router.put("/{codeRepositoryId}")
async def change_code(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, code_id: CodeId, body: CreateCode
) -> CodeView:
    return await code.change(context.db, context.settings, caller, project_id, code_id, body)


@router.delete("/{codeRepositoryId}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_code(context: ContextDep, caller: CallerDep, project_id: ProjectId, code_id: CodeId) -> None:
    await code.remove(context.db, caller, project_id, code_id)
