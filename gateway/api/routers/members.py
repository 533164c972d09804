"""Members of a project."""

from fastapi import APIRouter, status

from gateway.api.dependencies import CallerDep, ContextDep, ProjectId, UserId
from gateway.projects import members
from gateway.schemas.projects import MemberView, SetMember

router = APIRouter(prefix="/projects/{projectId}/members", tags=["Members"])


@router.get("")
async def list_members(context: ContextDep, caller: CallerDep, project_id: ProjectId) -> list[MemberView]:
    return await members.listing(context.db, caller, project_id)


@router.put("/{userId}")
async def set_member(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, user_id: UserId, body: SetMember
) -> MemberView:
    return await members.put(context.db, caller, project_id, user_id, body)


@router.delete("/{userId}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_member(context: ContextDep, caller: CallerDep, project_id: ProjectId, user_id: UserId) -> None:
    await members.remove(context.db, caller, project_id, user_id)
