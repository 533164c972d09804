"""Answers of the server: values, or errors rebuilt as the classes of `gateway.errors`."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from gateway.client.flow import Answer, Failure
from gateway.errors import (
    FieldProblem,
    Forbidden,
    GatewayError,
    NotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    error_class,
)
from gateway.schemas.wire import Problem

T = TypeVar("T")

_BY_STATUS: dict[int, type[GatewayError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    413: TooLarge,
    429: TooMany,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_ADDRESS = "Check MANTIK_API_URL: the address of a gateway ends in /api/v1."


def read(answer: Answer, reader: Callable[[bytes], T]) -> T:
    """The value of a good answer. Raises the error of any other."""
    if not 200 <= answer.status < 300:
        raise problem(answer)
    if answer.media_type == "text/html":
        raise _no_api(answer)
    try:
        return reader(answer.body)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise GatewayError(
            f"The answer of {_host(answer)} is not what this version of mantik expects"
            + (f" (field {field})." if field else "."),
            next_step=f"{_ADDRESS} If it does, update mantik: pip install --upgrade mantik-gateway",
        ) from None


def problem(answer: Answer) -> GatewayError:
    """The error that an answer tells."""
    if 300 <= answer.status < 400:
        place = answer.headers.get("location", "another address")
        return GatewayError(f"{_host(answer)} sends us on to {place}.", next_step=_ADDRESS)
    try:
        told = Problem.model_validate_json(answer.body)
    except ValidationError:
        return _bare(answer)
    problems = [FieldProblem(e.field, e.message) for e in told.errors]
    fields = "; ".join(f"{p.field}: {p.message}" if p.field else p.message for p in problems)
    message = told.detail.removesuffix(told.next_step).strip().removesuffix(fields).strip()
    step = told.next_step
    if told.status >= 500 and told.request_id and not step:
        step = f"Tell the operator of the gateway the request id {told.request_id}."
    return error_class(told.code)(message, next_step=step, problems=problems)


def unanswered(found: Failure, url: str) -> GatewayError:
    """The error for a server that did not answer."""
    if found.kind == "tls":
        return Unavailable(
            f"The identity of {url} could not be verified: {found.text}.",
            next_step="Check the address. If its certificate is signed by your own authority, name that one's file in "
            "SSL_CERT_FILE.",
        )
    if found.kind == "connect":
        return Unavailable(
            f"The gateway at {url} cannot be reached: {found.text}.",
            next_step="Check MANTIK_API_URL and your network, then try again.",
        )
    return Unavailable(f"The gateway at {url} did not answer: {found.text}.", next_step="Try again.")


def _bare(answer: Answer) -> GatewayError:
    """An error without our body: a proxy's, or no gateway at all."""
    if answer.status == 404 or (answer.status < 500 and answer.media_type == "text/html"):
        return _no_api(answer)
    kind = _BY_STATUS.get(answer.status, GatewayError)
    if kind is Unauthenticated:
        return kind()
    return kind(f"{_host(answer)} answered with HTTP status {answer.status}.", next_step="Try again later.")


def _no_api(answer: Answer) -> GatewayError:
    return GatewayError(f"There is no gateway at {answer.url}.", next_step=_ADDRESS)


def _host(answer: Answer) -> str:
    return answer.url.partition("?")[0]
