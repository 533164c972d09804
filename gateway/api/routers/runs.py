"""Runs over HTTP: submit, list, show, cancel, delete, events and logs."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Body, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse
from sse_starlette.sse import EventSourceResponse

from gateway.api.dependencies import MOST_NUMBER, CallerDep, ContextDep, RunId, caller_again
from gateway.api.run_route import RunRoute
from gateway.api.run_streams import Followers, Told, event_stream, log_stream
from gateway.context import Context
from gateway.errors import InvalidInput
from gateway.logs import service as logs
from gateway.logs.service import Position
from gateway.logs.tail import tail
from gateway.retention.removed import refuse_removed_log
from gateway.runs import intake, preview, reports, service
from gateway.runs.states import State
from gateway.schemas.runs import EventView, Preview, RunDetails, RunView, SubmitRun, SubmittedRun
from gateway.schemas.wire import Page
from gateway.users.caller import Caller

router = APIRouter(prefix="/projects/{projectId}/runs", tags=["runs"], route_class=RunRoute)
MOST_LOG = 1 << 20


@router.post("", status_code=202, operation_id="submitRun", response_model=SubmittedRun | Preview)
async def submit_run(
    projectId: UUID,  # noqa: N803  the published name
    body: SubmitRun,
    caller: CallerDep,
    context: ContextDep,
    response: Response,
    after: BackgroundTasks,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    dry_run: Annotated[bool, Query(alias="dryRun")] = False,
    submit: Annotated[bool, Query()] = True,
) -> SubmittedRun | Preview:
    """Store the intent of a run and answer at once; the gateway submits it. With `dryRun` show what would be sent;
    with `submit=false` store a run that is executed elsewhere."""
    doors = (context.db, context.settings)
    if not submit:
        return await reports.report(context.db, caller, projectId, body)
    if dry_run:
        response.status_code = 200
        return await preview.preview(*doors, context.planner, caller, projectId, body)
    if body.preview_token is not None:
        key = idempotency_key
        answer = await preview.submit_previewed(*doors, context.planner, caller, projectId, body, key=key)
    else:
        answer = await intake.submit(*doors, caller, projectId, body, key=idempotency_key)
    after.add_task(_wake, context)  # the engine would work before the answer is out
    return answer


async def _wake(context: Context) -> None:
    context.wake()


@router.get("", operation_id="listRuns")
async def list_runs(
    projectId: UUID,  # noqa: N803
    caller: CallerDep,
    context: ContextDep,
    state: Annotated[list[State] | None, Query()] = None,
    text: Annotated[str | None, Query(max_length=200)] = None,
    experiment: Annotated[UUID | None, Query(alias="experimentRepositoryId")] = None,
    created_by: Annotated[UUID | None, Query(alias="createdBy")] = None,
    origin: Annotated[str | None, Query(pattern="^(submitted|reported)$")] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Page[RunView]:
    """Runs of the project, newest first."""
    chosen = service.Filter(tuple(state or ()), text, experiment, created_by, origin)
    return await service.list_runs(context.db, caller, projectId, chosen, cursor, limit)


@router.get("/{runId}", operation_id="getRun")
async def get_run(projectId: UUID, runId: RunId, caller: CallerDep, context: ContextDep) -> RunDetails:  # noqa: N803
    """Everything about one run."""
    return await service.get_run(context.db, caller, projectId, runId)


@router.put("/{runId}/status", status_code=204, operation_id="reportRunStatus")
async def report_status(
    projectId: UUID,  # noqa: N803
    runId: RunId,  # noqa: N803
    status: Annotated[str, Body(max_length=40)],
    caller: CallerDep,
    context: ContextDep,
) -> None:
    """Tell the status of a run that is executed elsewhere, in MLflow's words."""
    await reports.tell_status(context.db, caller, projectId, runId, status)


@router.post("/{runId}/cancel", operation_id="cancelRun")
async def cancel_run(projectId: UUID, runId: RunId, caller: CallerDep, context: ContextDep) -> RunView:  # noqa: N803
    """Ask for the end of a run; it is CANCELLED when there is evidence of it."""
    answer = await service.cancel(context.db, caller, projectId, runId)
    context.wake()
    return answer


@router.delete("/{runId}", status_code=204, operation_id="deleteRun")
async def delete_run(
    projectId: UUID,  # noqa: N803
    runId: RunId,  # noqa: N803
    caller: CallerDep,
    context: ContextDep,
    cancel: Annotated[bool, Query()] = False,
    site_directory: Annotated[bool, Query(alias="siteDirectory")] = False,
) -> None:
    """Delete a run that has ended; with `cancel` a live one too, after its end."""
    wishes = {"cancel_live": cancel, "site_directory": site_directory}
    await service.delete(context.db, caller, projectId, runId, **wishes)
    context.wake()


@router.get("/{runId}/events", operation_id="listRunEvents", response_model=Page[EventView])
async def list_events(
    projectId: UUID,  # noqa: N803
    runId: RunId,  # noqa: N803
    request: Request,
    caller: CallerDep,
    context: ContextDep,
    cursor: Annotated[int, Query(ge=0, le=MOST_NUMBER)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Page[EventView] | EventSourceResponse:
    """What happened to the run, oldest first; live as server-sent events when the client accepts them."""
    after = _event(last_event_id, cursor)
    found = await service.list_events(context.db, caller, projectId, runId, after, limit)
    if _wants_stream(request):
        return _stream(request, context, caller, runId, event_stream(context, caller, projectId, runId, after))
    more = str(found[-1].event_id) if len(found) == limit else None
    return Page[EventView](items=found, next_cursor=more)


@router.get("/{runId}/logs", operation_id="readRunLog", response_class=PlainTextResponse)
async def read_log(
    projectId: UUID,  # noqa: N803
    runId: RunId,  # noqa: N803
    request: Request,
    caller: CallerDep,
    context: ContextDep,
    generation: Annotated[int, Query(ge=0, le=MOST_NUMBER)] = 0,
    offset: Annotated[int, Query(ge=0, le=MOST_NUMBER)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_LOG)] = MOST_LOG,
    lines: Annotated[int | None, Query(alias="tail", ge=0, le=100_000)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """A range of the log's bytes (headers say where the next begins), its last lines, or live as server-sent events."""
    await service.may_read_log(context.db, caller, projectId, runId)
    await refuse_removed_log(context.db, runId)
    doors = (context.db, context.blobs, runId)
    start = Position(generation, offset) if "offset" in request.query_params else None
    if lines is not None:
        start, data = await tail(*doors, lines)
        if not _wants_stream(request):
            return _bytes(data, start.generation, start.offset)
    if _wants_stream(request):
        return _stream(request, context, caller, runId, log_stream(*doors, _resume(last_event_id) or start))
    piece = await logs.read(*doors, Position(generation, offset), limit)
    if piece is None:
        return _bytes(b"", generation, offset)
    return _bytes(piece.data, piece.generation, piece.start)


def _stream(request: Request, context: Context, caller: Caller, run_id: UUID, told: Told) -> EventSourceResponse:
    """Live as long as the caller may read the run's log. Raises TooMany."""
    project_id = UUID(request.path_params["projectId"])
    followers: Followers = request.app.state.followers
    followers.check(caller.user_id)

    async def may() -> None:
        await service.may_read_log(context.db, await caller_again(request), project_id, run_id)

    return EventSourceResponse(followers.watched(caller.user_id, told, may))


def _event(last_event_id: str | None, cursor: int) -> int:
    known = last_event_id and last_event_id.isdecimal() and len(last_event_id) < 20
    return min(int(last_event_id), MOST_NUMBER) if last_event_id and known else cursor


def _bytes(data: bytes, generation: int, start: int) -> Response:
    headers = {"X-Log-Generation": str(generation), "X-Log-Offset": str(start), "X-Log-Next": str(start + len(data))}
    return Response(data, media_type="text/plain; charset=utf-8", headers=headers)


def _resume(last_event_id: str | None) -> Position | None:
    try:
        found = Position.parse(last_event_id[:40]) if last_event_id else None
        if found is not None and max(found.generation, found.offset) > MOST_NUMBER:
            raise ValueError("there is no such place in a log.")
        return found
    except ValueError as error:
        raise InvalidInput(f"Last-Event-ID: {error}") from None


def _wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")
