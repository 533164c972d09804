"""Errors that reach a user: one class each, with a code, an HTTP status and an exit code of the CLI.

The client rebuilds the class from the code of an answer, so this file imports nothing of server or client.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with the input: which field, and what to do."""

    field: str
    message: str


class GatewayError(Exception):
    """Something went wrong in the gateway; its log has the details under the request id."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "", *, next_step: str = "", problems: Sequence[FieldProblem] = ()) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.next_step = next_step
        """What the user can do, as one sentence; empty when the message says it."""
        self.problems = tuple(problems)
        super().__init__(self.detail)

    @property
    def detail(self) -> str:
        """The text for a person: message, problems by field, next step."""
        fields = "; ".join(f"{p.field}: {p.message}" if p.field else p.message for p in self.problems)
        text = f"{self.message} {fields}".strip() if fields else self.message
        return f"{text} {self.next_step}".strip()


class InvalidInput(GatewayError):
    """The request is not valid."""

    code = "INVALID_INPUT"
    status = 422
    exit_code = 2


class Unauthenticated(GatewayError):
    """You are not logged in, or your login has ended."""

    code = "UNAUTHENTICATED"
    status = 401
    exit_code = 3


class Forbidden(GatewayError):
    """Your role does not allow this."""

    code = "FORBIDDEN"
    status = 403
    exit_code = 4


class NotFound(GatewayError):
    """There is no such thing, or you may not see it."""

    code = "NOT_FOUND"
    status = 404
    exit_code = 5


class Conflict(GatewayError):
    """This contradicts what is there."""

    code = "CONFLICT"
    status = 409
    exit_code = 6


class TooLarge(GatewayError):
    """The request body is too large."""

    code = "TOO_LARGE"
    status = 413
    exit_code = 2


class TooMany(GatewayError):
    """Too many requests, or too many live runs."""

    code = "TOO_MANY"
    status = 429
    exit_code = 7


class SiteProblem(GatewayError):
    """The site refused, or could not be reached."""

    code = "SITE_PROBLEM"
    status = 502
    exit_code = 8


class Unavailable(GatewayError):
    """The gateway, or a server it needs, does not answer now."""

    code = "UNAVAILABLE"
    status = 503
    exit_code = 9


def error_class(code: str) -> type[GatewayError]:
    """The class of a code; GatewayError for one that this version does not know."""
    own = (c for c in GatewayError.__subclasses__() if "code" in vars(c))
    return next((c for c in own if c.code == code), GatewayError)
