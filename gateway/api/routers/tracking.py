"""The proxy to MLflow at `/tracking/`: streams bytes, and speaks MLflow's own error shape to its clients."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from gateway.api.dependencies import address, request_id
from gateway.api.rate import RateExceeded, RateLimit
from gateway.context import Context
from gateway.errors import (
    Conflict,
    Forbidden,
    GatewayError,
    InvalidInput,
    NotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from gateway.tracking.client import TrackingRefused
from gateway.tracking.desk import Passage
from gateway.tracking.proxy import TrackingProxy
from gateway.users.authentication import authenticate
from gateway.users.caller import Caller
from gateway.users.throttle import subject_of_address

MOST_JSON = 8 * 2**20
"""Bytes of a JSON body; artifacts stream and have no bound here."""
DOWN = ("content-type", "content-length", "range", "if-range")
"""Headers that go to MLflow with a stream: no login, no cookie, nothing hop by hop."""
UP = (
    *("content-type", "content-length", "content-disposition", "content-range"),
    *("accept-ranges", "etag", "last-modified"),
)
SAFE = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox", "cache-control": "no-store"}
"""Artifacts are users' files: a browser must not run them with the gateway's origin."""
WORDS: Mapping[type[GatewayError], tuple[str, int]] = {
    NotFound: ("RESOURCE_DOES_NOT_EXIST", 404),
    Forbidden: ("PERMISSION_DENIED", 403),
    Unauthenticated: ("UNAUTHENTICATED", 401),
    InvalidInput: ("INVALID_PARAMETER_VALUE", 400),
    TooLarge: ("INVALID_PARAMETER_VALUE", 413),
    TooMany: ("REQUEST_LIMIT_EXCEEDED", 429),
    Conflict: ("RESOURCE_CONFLICT", 409),
    Unavailable: ("TEMPORARILY_UNAVAILABLE", 503),
}

router = APIRouter(prefix="/tracking", include_in_schema=False)


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def tracking(path: str, request: Request) -> Response:
    """One request of an MLflow client."""
    try:
        return await _answer(request, path, await _caller(request), _proxy(request))
    except GatewayError as error:
        return _told(error)
    except ClientDisconnect:
        return Response(status_code=499)  # nobody reads it


async def _caller(request: Request) -> Caller:
    """Not by the dependency, whose errors have another shape and whose limit would slow a training down: this one is
    higher, and of each run. Failures count for the address as everywhere."""
    context: Context = request.app.state.context
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    try:
        given = bearer.strip() if scheme.lower() == "bearer" else None
        caller = await authenticate(context.db, context.access, given, request_id(request))
    except Unauthenticated:
        of_addresses: RateLimit = request.app.state.rate_limit
        of_addresses.take(subject_of_address(address(request)))
        raise
    limit: RateLimit = request.app.state.tracking_limit
    limit.take(f"user:{caller.user_id}:{caller.run_id or ''}")
    return caller


def _proxy(request: Request) -> TrackingProxy:
    """One per application: it remembers where runs lie."""
    state = request.app.state
    if not hasattr(state, "tracking_proxy"):
        context: Context = state.context
        state.tracking_proxy = TrackingProxy(context.db, context.tracking)
    proxy: TrackingProxy = state.tracking_proxy
    return proxy


async def _answer(request: Request, path: str, caller: Caller, proxy: TrackingProxy) -> Response:
    async def body() -> bytes:
        return await _bounded(request)

    asked = await proxy.handle(caller, request.method, path, request.query_params.multi_items(), body)
    if isinstance(asked, Passage):
        return await _pass(request, asked, proxy)
    kind = "application/json" if asked.content[:1] == b"{" else "text/plain"
    return Response(asked.content, media_type=kind, headers=SAFE)


async def _bounded(request: Request) -> bytes:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise InvalidInput("A compressed body is not taken here.")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_JSON:
            raise TooLarge(f"The body has more than {MOST_JSON} bytes.", next_step="Log it in smaller batches.")
    return bytes(content)


async def _pass(request: Request, passage: Passage, proxy: TrackingProxy) -> Response:
    stack = AsyncExitStack()
    answer = await stack.enter_async_context(
        proxy.client.stream(
            passage.method,
            passage.path,
            query=passage.query,
            content=request.stream() if passage.method != "GET" else None,
            headers={name: request.headers[name] for name in DOWN if name in request.headers},
        )
    )

    async def content() -> AsyncIterator[bytes]:
        async with stack:
            async for chunk in answer.aiter_raw():
                yield chunk

    kept = {name: answer.headers[name] for name in UP if name in answer.headers}
    return StreamingResponse(content(), answer.status_code, headers={**kept, **SAFE})


def _told(error: GatewayError) -> Response:
    """MLflow's shape, so that its client shows our sentence; its own errors as they came."""
    if isinstance(error, TrackingRefused) and error.error_code and error.http_status not in (401, 403):
        return Response(error.body, error.http_status, media_type="application/json", headers=SAFE)
    word, status = next((WORDS[c] for c in type(error).__mro__ if c in WORDS), ("INTERNAL_ERROR", error.status))
    # MLflow's client waits so long and asks again.
    wait = {"retry-after": str(error.retry_after)} if isinstance(error, RateExceeded) else {}
    return JSONResponse({"error_code": word, "message": error.detail}, status, headers={**SAFE, **wait})
