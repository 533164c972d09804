"""Retention: how long logs, directories on the site and runs are kept, and what would go."""

from fastapi import APIRouter

from gateway.api.dependencies import PAGE, CallerDep, ContextDep, Cursor, Limit, ProjectId
from gateway.retention import preview, service
from gateway.schemas.retention import RetentionPreview, RetentionView, SetRetention

router = APIRouter(prefix="/projects/{projectId}/retention", tags=["Retention"])


@router.get("")
async def show_retention(context: ContextDep, caller: CallerDep, project_id: ProjectId) -> RetentionView:
    """Days after the end of a run until its log, its directory on the site and the run itself go; null is for ever."""
    return await service.show(context.db, caller, project_id)


@router.put("")
async def change_retention(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, body: SetRetention
) -> RetentionView:
    """Replace all three rules. What is gone does not come back."""
    return await service.change(context.db, caller, project_id, body)


@router.post("/preview")
async def preview_retention(
    context: ContextDep,
    caller: CallerDep,
    project_id: ProjectId,
    body: SetRetention | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> RetentionPreview:
    """What would go now by these rules, or without a body by the saved ones. Nothing is removed."""
    return await preview.preview(context.db, caller, project_id, body, cursor, limit)
