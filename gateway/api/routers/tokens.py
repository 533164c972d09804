"""Logging in, as the published client does."""

from fastapi import APIRouter, status

from gateway.api.dependencies import ContextDep, VisitorDep
from gateway.schemas.users import CreateTokens, RefreshTokens, Tokens
from gateway.users import login

router = APIRouter(prefix="/mantik/tokens", tags=["Tokens"])


@router.post("/create", status_code=status.HTTP_201_CREATED)
async def create_tokens(context: ContextDep, visitor: VisitorDep, body: CreateTokens) -> Tokens:
    return await login.create_tokens(context.db, context.access, context.passwords, visitor, body)


@router.post("/refresh", status_code=status.HTTP_201_CREATED)
async def refresh_tokens(context: ContextDep, _: VisitorDep, body: RefreshTokens) -> Tokens:
    return await login.refresh_tokens(context.db, context.access, body)
