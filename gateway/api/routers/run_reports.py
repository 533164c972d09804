"""What a run tells of itself over HTTP: its machine and its notebook."""

from uuid import UUID

from fastapi import APIRouter

from gateway.api.dependencies import CallerDep, ContextDep, RunId
from gateway.api.run_route import RunRoute
from gateway.runs import whereabouts
from gateway.schemas.run_reports import Infrastructure, NotebookSource

router = APIRouter(prefix="/projects/{projectId}/runs/{runId}", tags=["runs"], route_class=RunRoute)


@router.put("/infrastructure", status_code=204, operation_id="reportInfrastructure")
async def report_infrastructure(
    projectId: UUID,  # noqa: N803  the published name
    run_id: RunId,
    body: Infrastructure,
    caller: CallerDep,
    context: ContextDep,
) -> None:
    """Tell of a machine that the run runs on; it is kept as an event of the run, each of up to 100 machines once."""
    await whereabouts.tell_infrastructure(context.db, caller, projectId, run_id, body)


@router.put("/notebook-source", status_code=204, operation_id="reportNotebookSource")
async def report_notebook_source(
    projectId: UUID,  # noqa: N803
    run_id: RunId,
    body: NotebookSource,
    caller: CallerDep,
    context: ContextDep,
) -> None:
    """Tell of the notebook that the run came from; it is kept as an event of the run."""
    await whereabouts.tell_notebook_source(context.db, caller, projectId, run_id, body)
