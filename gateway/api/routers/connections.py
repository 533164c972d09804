"""Connections, in their owner's settings; GET with an id is a path of the published client."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, status

from gateway.api.dependencies import PAGE, CallerDep, ConnectionId, ContextDep, Cursor, Limit, UserId
from gateway.connections import saving, service, views
from gateway.connections.check import check
from gateway.schemas.sites import ChangeConnection, ConnectionView, CreateConnection, UpdateCredential
from gateway.schemas.wire import Page

router = APIRouter(prefix="/users/{userId}/settings/connections", tags=["Connections"])
Check = Annotated[bool, Query(alias="check", description="Try it at once; what was found stands in lastCheck.")]


@router.get("")
async def list_connections(
    context: ContextDep, caller: CallerDep, user_id: UserId, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[ConnectionView]:
    return await views.listing(context.db, caller, user_id, cursor, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_connection(
    context: ContextDep,
    caller: CallerDep,
    user_id: UserId,
    body: CreateConnection,
    try_it: Check = True,
) -> ConnectionView:
    doors = (context.db, context.vault)
    saved = await service.create(*doors, context.settings, context.issuers, caller, user_id, body)
    return await saving.checked(*doors, context.issuers, caller, saved) if try_it else saved


@router.get("/{connectionId}")
async def show_connection(
    context: ContextDep, caller: CallerDep, user_id: UserId, connection_id: ConnectionId
) -> ConnectionView:
    return await views.show(context.db, caller, user_id, connection_id)


@router.put("/{connectionId}")
async def change_connection(
    context: ContextDep,
    caller: CallerDep,
    user_id: UserId,
    connection_id: ConnectionId,
    body: ChangeConnection,
    try_it: Check = True,
) -> ConnectionView:
    saved = await service.change(context.db, context.vault, caller, user_id, connection_id, body)
    return await saving.checked(context.db, context.vault, context.issuers, caller, saved) if try_it else saved


@router.post("/{connectionId}/check")
async def check_connection(
    context: ContextDep, caller: CallerDep, user_id: UserId, connection_id: ConnectionId
) -> dict[str, Any]:
    return await check(context.db, context.vault, context.issuers, caller, user_id, connection_id)


@router.put("/{connectionId}/credential")
async def renew_credential(
    context: ContextDep,
    caller: CallerDep,
    user_id: UserId,
    connection_id: ConnectionId,
    body: UpdateCredential,
    try_it: Check = True,
) -> ConnectionView:
    doors = (context.db, context.vault, context.issuers)
    saved = await service.renew(*doors, caller, user_id, connection_id, body)
    return await saving.checked(*doors, caller, saved) if try_it else saved


@router.delete("/{connectionId}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_connection(
    context: ContextDep, caller: CallerDep, user_id: UserId, connection_id: ConnectionId
) -> None:
    await service.retire(context.db, context.vault, caller, user_id, connection_id)
