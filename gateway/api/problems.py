"""Every error as one shape: RFC 9457 with `detail`, the text that the published client shows."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from gateway.api.dependencies import request_id
from gateway.errors import FieldProblem, GatewayError, InvalidInput, Unavailable
from gateway.schemas.wire import InvalidField, Problem

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_WORDS = {
    "model_attributes_type": "must be a JSON object, sent with Content-Type: application/json.",
    "missing": "is required.",
    "extra_forbidden": "is not a known field; leave it out or correct its spelling.",
}
_HTTP = {
    404: ("NOT_FOUND", "There is no such path.", "See /api/v1/openapi.json for those there are."),
    405: ("METHOD_NOT_ALLOWED", "This path does not take that method.", "See /api/v1/openapi.json."),
    413: ("TOO_LARGE", "The request body is too large.", "Send less, or ask your operator for a higher limit."),
}


def install(app: FastAPI) -> None:
    """Handlers for all that a route may raise."""
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(PoolTimeout, _database_error)


def problem(error: GatewayError, identifier: str) -> JSONResponse:
    """The answer for an error of ours."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if (seconds := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(seconds)
    body = Problem(
        title=_title(error.status),
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=identifier,
        next_step=error.next_step,
        errors=[InvalidField(field=p.field, message=p.message) for p in error.problems],
    )
    return _answer(body, headers)


async def _gateway_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GatewayError)  # noqa: S101  # registered for this class
    if error.status >= 500:
        _log.warning("request %s: %s", request_id(request), error.detail)
    return problem(error, request_id(request))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class
    return problem(InvalidInput(problems=field_problems(error.errors())), request_id(request))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class
    code, text, next_step = _HTTP.get(error.status_code, ("HTTP_ERROR", str(error.detail), ""))
    body = Problem(
        title=_title(error.status_code),
        status=error.status_code,
        detail=f"{text} {next_step}".strip(),
        code=code,
        request_id=request_id(request),
        next_step=next_step,
    )
    return _answer(body, error.headers or {})


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    _log.error("request %s: the database failed", request_id(request), exc_info=error)
    return problem(Unavailable("The gateway's database does not answer.", next_step="Try again."), request_id(request))


def field_problems(errors: Sequence[Mapping[str, Any]]) -> list[FieldProblem]:
    """Pydantic's findings in our words; what was given is not repeated, it may be a secret."""
    return [FieldProblem(_field(e["loc"]), _message(e)) for e in errors]


def _field(location: Sequence[str | int]) -> str:
    words = [w for w in location if w not in ("body", "path", "query", "header")]
    name = ".".join(str(w) for w in words if not (isinstance(w, int) and len(words) == 1))
    return name or "body"


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"is not valid JSON: {error.get('ctx', {}).get('error', 'cannot be read')}."
    text = _WORDS.get(error["type"], str(error["msg"]).removeprefix("Value error, "))
    return text if text.endswith(".") else f"{text}."


def _title(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"


def _answer(body: Problem, headers: Mapping[str, str]) -> JSONResponse:
    content = body.model_dump(mode="json", by_alias=True)
    return JSONResponse(content, body.status, headers=dict(headers), media_type=MEDIA_TYPE)
