"""What every route takes from a request: the gateway's doors, who asks, and which page."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gateway.api.rate import RateLimit
from gateway.context import Context
from gateway.db.paging import DEFAULT_LIMIT, MOST
from gateway.errors import Unauthenticated
from gateway.tracking.scopes import admit_run
from gateway.users.authentication import authenticate
from gateway.users.caller import Caller
from gateway.users.login import Visitor
from gateway.users.throttle import subject_of_address

_bearer = HTTPBearer(auto_error=False, description="An access token, a personal API token, or a run token.")


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _limit(request: Request) -> RateLimit:
    limit: RateLimit = request.app.state.rate_limit
    return limit


async def caller_again(request: Request) -> Caller:
    """For long answers: whether the login of the request still holds. Raises Unauthenticated."""
    context = _context(request)
    credentials = await _bearer(request)
    return await authenticate(
        context.db, context.access, credentials.credentials if credentials else None, request_id(request)
    )


async def _caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    context = _context(request)
    try:
        bearer = credentials.credentials if credentials else None
        caller = await authenticate(context.db, context.access, bearer, request_id(request))
    except Unauthenticated:
        _limit(request).take(subject_of_address(address(request)))
        raise
    _limit(request).take(f"user:{caller.user_id}:{caller.run_id or ''}")
    admit_run(caller, request.method, request.scope["route"].path, request.path_params.get("runId"))
    return caller


def _visitor(request: Request) -> Visitor:
    _limit(request).take(subject_of_address(address(request)))
    return Visitor(address(request), request_id(request))


ContextDep = Annotated[Context, Depends(_context)]
"""The gateway's doors."""
CallerDep = Annotated[Caller, Depends(_caller)]
"""The caller; a request without a valid token ends as 401."""
VisitorDep = Annotated[Visitor, Depends(_visitor)]
"""Somebody who need not be logged in; counted by address."""

Cursor = Annotated[str | None, Query(max_length=500, description="nextCursor of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Most items of the page.")]
PAGE = DEFAULT_LIMIT
MOST_NUMBER = 2**63 - 1
"""What the database stores in a column of numbers."""

ProjectId = Annotated[UUID, Path(alias="projectId")]
UserId = Annotated[UUID, Path(alias="userId")]
ExperimentId = Annotated[UUID, Path(alias="experimentRepositoryId")]
CodeId = Annotated[UUID, Path(alias="codeRepositoryId")]
SiteId = Annotated[UUID, Path(alias="siteId")]
ConnectionId = Annotated[UUID, Path(alias="connectionId")]
TokenId = Annotated[UUID, Path(alias="tokenId")]
ModelId = Annotated[UUID, Path(alias="modelId")]
ScheduleId = Annotated[UUID, Path(alias="scheduleId")]
SubscriptionId = Annotated[UUID, Path(alias="subscriptionId")]


def _run_id(
    given: Annotated[UUID, Path(alias="runId", description="The run's id, or MLflow's id of the run.")],
    caller: CallerDep,
) -> UUID:
    """To a run token the door opens for its own run only, whichever of its ids the path has."""
    return caller.run_id or given


RunId = Annotated[UUID, Depends(_run_id)]
