"""What an answer of a UNICORE server means, or its silence: in the errors of the contract."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import httpx

from backends.errors import InvalidJob, JobNotFound, SiteUnavailable
from backends.reasons import Reason

_UNKNOWN = "ResourceUnknownException"
"""How UNICORE/X 10 says 404 in a 503."""
_FULL = ("no space left", "quota exceeded", "disk full")


class ReplyLost(SiteUnavailable):
    """The request may have arrived; its answer did not."""


class ServerError(SiteUnavailable):
    """The server answered with an error of its own (500): about this one object, or about all."""


class Forbidden(JobNotFound):
    """Our login is good, and this object belongs to somebody else."""


@contextmanager
def told_by(base: str, path: str) -> Iterator[None]:
    """Errors of the network as errors of the contract."""
    where = f"{base}{path}"
    try:
        yield
    except (httpx.HTTPError, aiohttp.ClientError) as error:
        if _never_left(error):
            raise SiteUnavailable(_unreached(base, error), text=str(error)) from None
        if isinstance(error, httpx.TimeoutException) and not _broken(error):
            raise ReplyLost(f"{where} did not answer in time.") from None
        raise ReplyLost(f"The connection to {where} broke: {str(error) or type(error).__name__}.") from None


def _never_left(error: Exception) -> bool:
    """Whether there surely was no connection for the request."""
    unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
    return isinstance(error, unsent) and not _broken(error)


def _broken(error: Exception) -> bool:
    """A connection that breaks under a request is a ConnectTimeout for httpx-aiohttp 0.2.0; its cause tells."""
    cause = error.__cause__
    named = isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError))
    return isinstance(cause, aiohttp.ClientConnectionError) and not named


def is_refusal(response: httpx.Response) -> bool:
    """Of the credential, or of one object only."""
    return response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) and _UNKNOWN not in words(response)


def check(response: httpx.Response, base: str, path: str) -> None:
    """Raises what the answer means, unless it is a good one; a refusal is taken for one of this object."""
    if response.is_redirect:
        raise SiteUnavailable(f"{base}{path} sends us elsewhere, where no credential goes.")
    if not response.is_error:
        return
    code, text = response.status_code, words(response)
    if code == httpx.codes.NOT_FOUND or _UNKNOWN in text:
        raise JobNotFound(f"The site has no {path}.", text=text)
    if is_refusal(response):
        raise Forbidden(f"The site refuses {path}: it belongs to another user, or this is not allowed.", text=text)
    if any(word in text.lower() for word in _FULL):
        message = "The disk or quota of the site is full. Make room there, then submit again."
        raise InvalidJob(message, reason=Reason.DISK_FULL, text=text)
    kind = ServerError if code == httpx.codes.INTERNAL_SERVER_ERROR else SiteUnavailable
    raise kind(f"The site answered {code}: {text}", text=text)


def _unreached(base: str, error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"The certificate of {base} is not trusted: {error}. Give the authority that signed it to the site, "
            "as its tlsCa."
        )
    return f"{base} cannot be reached: {error or type(error).__name__}."


def words(response: httpx.Response) -> str:
    """What the server says of an error, without its page around it."""
    try:
        said = response.json().get("errorMessage")
    except (ValueError, AttributeError):
        said = None
    return str(said or response.reason_phrase or f"HTTP {response.status_code}")[:1000]
