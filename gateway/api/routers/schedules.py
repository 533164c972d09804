"""Schedules: made, previewed, changed, stopped and fired; and their history."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, status

from gateway.api.dependencies import PAGE, CallerDep, ContextDep, Cursor, Limit, ProjectId, ScheduleId
from gateway.schedules import by_hand, preview, saving, service
from gateway.schemas.schedules import (
    MOST_PREVIEWED,
    CreateSchedule,
    FireNow,
    FiringView,
    SchedulePreview,
    ScheduleView,
)
from gateway.schemas.wire import Page

router = APIRouter(prefix="/projects/{projectId}/schedules", tags=["Schedules"])
Count = Annotated[int, Query(ge=1, le=MOST_PREVIEWED, description="How many firings.")]
Expression = Annotated[str, Query(alias="cronExpression", min_length=1, max_length=200)]
Zone = Annotated[str, Query(alias="timeZone", min_length=1, max_length=100)]


@router.get("")
async def list_schedules(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[ScheduleView]:
    """Schedules of the project, newest first."""
    return await service.listing(context.db, caller, project_id, cursor, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_schedule(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, body: CreateSchedule
) -> ScheduleView:
    """Repeat a run; it runs with a connection of the caller."""
    return await saving.create(context.db, context.settings, caller, project_id, body)


@router.get("/preview")
async def preview_expression(
    context: ContextDep,
    caller: CallerDep,
    project_id: ProjectId,
    expression: Expression,
    time_zone: Zone = "UTC",
    start: Annotated[str | None, Query(alias="startDate", max_length=40)] = None,
    end: Annotated[str | None, Query(alias="endDate", max_length=40)] = None,
    count: Count = 10,
) -> SchedulePreview:
    """The next firings of an expression, before anything is saved."""
    doors = (context.db, caller, project_id)
    return await preview.of_expression(*doors, expression, time_zone, (start, end), count)


@router.get("/{scheduleId}")
async def show_schedule(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, schedule_id: ScheduleId
) -> ScheduleView:
    """One schedule."""
    return await service.show(context.db, caller, project_id, schedule_id)


@router.put("/{scheduleId}")
async def change_schedule(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, schedule_id: ScheduleId, body: CreateSchedule
) -> ScheduleView:
    """Replace it, for the future. From then on it runs with a connection of the caller."""
    return await saving.change(context.db, context.settings, caller, project_id, schedule_id, body)


@router.delete("/{scheduleId}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_schedule(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, schedule_id: ScheduleId
) -> None:
    """Its runs stay."""
    await service.remove(context.db, caller, project_id, schedule_id)


@router.get("/{scheduleId}/preview")
async def preview_schedule(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, schedule_id: ScheduleId, count: Count = 10
) -> SchedulePreview:
    """Its next firings, in its zone and in UTC."""
    return await preview.of_schedule(context.db, caller, project_id, schedule_id, count)


@router.get("/{scheduleId}/firings")
async def list_firings(
    context: ContextDep,
    caller: CallerDep,
    project_id: ProjectId,
    schedule_id: ScheduleId,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Page[FiringView]:
    """The history, newest first: when it was due, when it was decided, and the run or why there is none."""
    return await service.firings(context.db, caller, project_id, schedule_id, cursor, limit)


@router.post("/{scheduleId}/pause")
async def pause_schedule(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, schedule_id: ScheduleId
) -> ScheduleView:
    """No firing until it is resumed. Live runs go on."""
    return await service.pause(context.db, caller, project_id, schedule_id)


@router.post("/{scheduleId}/resume")
async def resume_schedule(
    context: ContextDep, caller: CallerDep, project_id: ProjectId, schedule_id: ScheduleId
) -> ScheduleView:
    """Fire again from now on."""
    return await service.resume(context.db, context.settings, caller, project_id, schedule_id)


@router.post("/{scheduleId}/fire-now", status_code=status.HTTP_201_CREATED)
async def fire_now(
    context: ContextDep,
    caller: CallerDep,
    project_id: ProjectId,
    schedule_id: ScheduleId,
    body: FireNow,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> FiringView:
    """A run now, beside those of the expression."""
    doors = (context.db, context.settings, caller, project_id, schedule_id)
    made = await by_hand.fire_now(*doors, body, key=idempotency_key)
    context.wake()
    return made
