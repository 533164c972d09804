"""The budget guard of a project."""

from fastapi import APIRouter

from gateway.api.dependencies import CallerDep, ContextDep, ProjectId
from gateway.budgets import service
from gateway.schemas.budgets import BudgetView, SetBudget

router = APIRouter(prefix="/projects/{projectId}/budget", tags=["Budget"])


@router.get("")
async def show_budget(context: ContextDep, caller: CallerDep, project_id: ProjectId) -> BudgetView:
    """Caps, and what the runs of this month come to."""
    return await service.show(context.db, caller, project_id)


@router.put("")
async def set_budget(context: ContextDep, caller: CallerDep, project_id: ProjectId, body: SetBudget) -> BudgetView:
    """Replace the guard and its caps. Runs that were accepted go on."""
    return await service.change(context.db, caller, project_id, body)
