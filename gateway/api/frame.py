"""Around every request: its id, the headers of every answer, and one answer for whatever went wrong."""

import logging
import re
import uuid
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.problems import problem
from gateway.errors import GatewayError, InvalidInput

_log = logging.getLogger(__name__)
_GIVEN = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
}
_API = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Frame:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, api_prefix: str, allowed_hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._api_prefix = api_prefix
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        identifier = _identifier(headers.get(b"x-request-id", b"").decode("latin-1"))
        scope.setdefault("state", {})["request_id"] = identifier
        answer = _Answer(send, identifier, scope["path"].startswith(self._api_prefix))
        if self._hosts and _host(headers.get(b"host", b"").decode("latin-1")) not in self._hosts:
            error = InvalidInput("Host: the gateway does not go by this name.", next_step="Use its public address.")
            await problem(error, identifier)(scope, receive, answer.send)
            return
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            _log.exception("request %s failed", identifier)
            if answer.begun:
                raise  # too late for an answer: the server cuts the connection
            await problem(GatewayError(), identifier)(scope, receive, answer.send)


class _Answer:
    """Adds headers to the answer and remembers whether it began."""

    def __init__(self, send: Send, identifier: str, is_api: bool) -> None:
        self._send = send
        self._headers = {"X-Request-ID": identifier, **_ALWAYS, **(_API if is_api else {})}
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)


def _identifier(given: str) -> str:
    return given if _GIVEN.match(given) else uuid.uuid4().hex


def _host(header: str) -> str:
    return re.sub(r":\d+$", "", header).lower()
