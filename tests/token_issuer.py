"""An issuer of tokens on loopback, spoken to over HTTP: what a gateway asks, and what a UNICORE server asks.

Its refresh tokens work once. An access token is good at `userinfo` until it ends.
"""

import json
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[int, Mapping[str, Any] | bytes]


@dataclass
class TokenIssuer:
    url: str
    life: float = 300.0
    """Seconds of an access token."""
    name: str = "Alice"
    """Whom `userinfo` tells of."""
    client_secret: str | None = None
    rotates: bool = True
    refresh: str = field(default_factory=lambda: f"refresh-{uuid.uuid4().hex}")
    """The one that works now."""
    away: Answer | None = None
    """Answered instead of a token."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The forms of all requests for a token."""
    hosts: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """An answer with a token waits for it."""
    reached: threading.Event = field(default_factory=threading.Event)
    """Set by each request for a token, before the gate."""
    tokens: dict[str, float] = field(default_factory=dict)
    """Access tokens and when they end."""

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    def login(self) -> str:
        """As a person logs in with a browser: a refresh token of a new session."""
        self.refresh = f"refresh-{uuid.uuid4().hex}"
        return self.refresh

    def revoke(self) -> None:
        """The session ends: there are no new tokens, and those that are out are good until their end."""
        self.refresh = f"nobody-has-{uuid.uuid4().hex}"

    def token(self, form: dict[str, str]) -> Answer:
        self.asked.append(form)
        self.reached.set()
        self.gate.wait(30)
        if self.away is not None:
            return self.away
        if self.client_secret is not None and form.get("client_secret") != self.client_secret:
            return 401, {"error": "invalid_client", "error_description": "Invalid client credentials"}
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self.refresh:
            sent = form.get("refresh_token")
            return 400, {"error": "invalid_grant", "error_description": f"Session not active for {sent}"}
        access = f"access-{uuid.uuid4().hex}"
        self.tokens[access] = time.monotonic() + self.life
        if self.rotates:
            self.refresh = f"refresh-{uuid.uuid4().hex}"
        told = {"access_token": access, "expires_in": self.life, "token_type": "Bearer"}
        return 200, told | ({"refresh_token": self.refresh} if self.rotates else {})

    def userinfo(self, authorization: str) -> Answer:
        if self.tokens.get(authorization.removeprefix("Bearer "), 0.0) < time.monotonic():
            return 401, {"error": "invalid_token"}
        return 200, {"sub": self.name.lower(), "name": self.name}

    def discovery(self) -> Answer:
        return 200, {"issuer": self.url, "token_endpoint": self.token_url}


class _Handler(BaseHTTPRequestHandler):
    issuer: TokenIssuer

    def do_GET(self) -> None:
        self.issuer.hosts.append(self.headers["Host"])
        if self.path == "/.well-known/openid-configuration":
            self._say(self.issuer.discovery())
        elif self.path == "/userinfo":
            self._say(self.issuer.userinfo(self.headers.get("Authorization", "")))
        elif self.path == "/elsewhere/.well-known/openid-configuration":
            self._say(self.issuer.discovery())
        else:
            self._say((404, b"<html>not here</html>"))

    def do_POST(self) -> None:
        self.issuer.hosts.append(self.headers["Host"])
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._say(self.issuer.token({name: values[0] for name, values in parse_qs(body).items()}))

    def _say(self, answer: Answer) -> None:
        status, said = answer
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status in (301, 302, 307, 308):
            self.send_header("Location", "http://127.0.0.1:1/token")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a test that fails shows what it asked."""


@contextmanager
def serving(port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[TokenIssuer]:
    """On this port of the loopback, or a free one; with `context` over TLS."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if context is None else "https"
    issuer = TokenIssuer(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    handler.issuer = issuer  # type: ignore[attr-defined]  # of the class made here
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
