"""Users and their API tokens."""

from typing import Annotated

from fastapi import APIRouter, Query, status

from gateway.api.dependencies import PAGE, CallerDep, ContextDep, Cursor, Limit, TokenId, UserId
from gateway.schemas.users import ApiTokenView, CreateApiToken, CreateUser, Me, NewApiToken, UserDetails
from gateway.schemas.wire import Page
from gateway.users import api_tokens, service

router = APIRouter(prefix="/users", tags=["Users"])
Name = Annotated[str | None, Query(max_length=200, description="The whole name of a user.")]


@router.get("/me")
async def show_me(caller: CallerDep) -> Me:
    return await service.me(caller)


@router.get("/me/tokens")
async def list_api_tokens(
    context: ContextDep, caller: CallerDep, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[ApiTokenView]:
    return await api_tokens.listing(context.db, caller, cursor, limit)


@router.post("/me/tokens", status_code=status.HTTP_201_CREATED)
async def create_api_token(context: ContextDep, caller: CallerDep, body: CreateApiToken) -> NewApiToken:
    return await api_tokens.create(context.db, caller, body)


@router.delete("/me/tokens/{tokenId}", status_code=status.HTTP_204_NO_CONTENT)
async def revoke_api_token(context: ContextDep, caller: CallerDep, token_id: TokenId) -> None:
    await api_tokens.revoke(context.db, caller, token_id)


@router.get("")
async def list_users(
    context: ContextDep, caller: CallerDep, name: Name = None, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[UserDetails]:
    return await service.listing(context.db, caller, name, cursor, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_user(context: ContextDep, caller: CallerDep, body: CreateUser) -> UserDetails:
    return await service.create(context.db, context.passwords, caller, body)


@router.get("/{userId}")
async def show_user(context: ContextDep, caller: CallerDep, user_id: UserId) -> UserDetails:
    return await service.show(context.db, caller, user_id)


@router.post("/{userId}/disable", status_code=status.HTTP_204_NO_CONTENT)
async def disable_user(context: ContextDep, caller: CallerDep, user_id: UserId) -> None:
    await service.disable(context.db, caller, user_id)


@router.post("/{userId}/enable", status_code=status.HTTP_204_NO_CONTENT)
async def enable_user(context: ContextDep, caller: CallerDep, user_id: UserId) -> None:
    await service.enable(context.db, caller, user_id)
