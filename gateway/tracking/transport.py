"""HTTP to MLflow: every call bounded in time, and two kinds of error."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx

from gateway.errors import GatewayError, Unavailable

API = "api/2.0/mlflow/"
LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10)


def unix_transport(socket: Path) -> httpx.AsyncHTTPTransport:
    """To a server that listens on a socket in the file system."""
    return httpx.AsyncHTTPTransport(uds=str(socket), limits=LIMITS, trust_env=False)


class TrackingUnavailable(Unavailable):
    """The tracking server does not answer now."""


class TrackingRefused(GatewayError):
    """The tracking server refused the request."""

    code = "TRACKING_REFUSED"
    status: ClassVar[int] = 502
    exit_code = 8

    def __init__(self, message: str = "", *, error_code: str = "", http_status: int = 0, body: bytes = b"") -> None:
        super().__init__(message)
        self.error_code = error_code
        """MLflow's word, such as RESOURCE_DOES_NOT_EXIST."""
        self.http_status = http_status
        self.body = body


class Transport:
    """Raises TrackingUnavailable (no answer in time, connection failed, 5xx) and TrackingRefused (4xx)."""

    def __init__(
        self, uri: str, http: httpx.AsyncClient | None = None, *, seconds: float = 5.0, socket: Path | None = None
    ) -> None:
        """`socket`: where the server listens when it is a file of this machine and not a port."""
        self.uri = uri.rstrip("/")
        self.seconds = seconds
        self._http = http or httpx.AsyncClient(
            transport=unix_transport(socket) if socket else None,
            timeout=None,  # noqa: S113  # each call has its own deadline; a client's would end long uploads
            limits=LIMITS,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Iterable[tuple[str, str]] = ()
    ) -> dict[str, Any]:
        """One call of the JSON API below `api/2.0/mlflow/`."""
        content = json.dumps(body).encode() if body is not None else None
        answer = await self.send(method, API + path, query=query, content=content)
        return decoded(answer) if answer.content else {}

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Iterable[tuple[str, str]] = (),
        content: bytes | None = None,
        seconds: float | None = None,
    ) -> httpx.Response:
        """A whole answer that succeeded."""
        try:
            async with asyncio.timeout(seconds or self.seconds):
                request = self._request(method, path, query, content, {"content-type": "application/json"})
                answer = await self._http.send(request)
        except (httpx.TransportError, TimeoutError) as error:
            raise TrackingUnavailable from error
        _check(answer, answer.content)
        return answer

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Iterable[tuple[str, str]] = (),
        content: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float = 60.0,
    ) -> AsyncIterator[httpx.Response]:
        """Bytes both ways without holding them; ends when nothing moved for `idle_seconds`."""
        request = self._request(method, path, query, content, headers or {})
        request.extensions["timeout"] = httpx.Timeout(idle_seconds, connect=self.seconds).as_dict()
        try:
            answer = await self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise TrackingUnavailable from error
        try:
            if not answer.is_success:
                _check(answer, await answer.aread())
            yield answer
        except httpx.TransportError as error:  # within the body
            raise TrackingUnavailable from error
        finally:
            await answer.aclose()

    def _request(
        self,
        method: str,
        path: str,
        query: Iterable[tuple[str, str]],
        content: bytes | AsyncIterator[bytes] | None,
        headers: Mapping[str, str],
    ) -> httpx.Request:
        return self._http.build_request(
            method,
            f"{self.uri}/{path}",
            params=httpx.QueryParams(tuple(query)),
            content=content,
            headers={**headers, "accept-encoding": "identity"},
        )


def decoded(answer: httpx.Response) -> dict[str, Any]:
    """A JSON object. Raises TrackingUnavailable for anything else, as a proxy on the way may send with HTTP 200."""
    try:
        return dict(answer.json())
    except (ValueError, TypeError) as error:
        raise TrackingUnavailable("The tracking server answered something that is not JSON.") from error


def _check(answer: httpx.Response, content: bytes) -> None:
    if answer.is_success:
        return
    if answer.status_code >= 500 or answer.status_code == 429:
        raise TrackingUnavailable(f"The tracking server failed (HTTP {answer.status_code}).")
    try:
        told = json.loads(content)
        message, error_code = str(told["message"]), str(told["error_code"])
    except (ValueError, TypeError, KeyError):
        message, error_code = f"The tracking server refused the request (HTTP {answer.status_code}).", ""
    raise TrackingRefused(message, error_code=error_code, http_status=answer.status_code, body=content)
