"""A webhook's receiver on loopback, spoken to over HTTP, with the faults that receivers have."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOLERANCE = 300.0
"""Seconds that the time of a message may differ."""


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    """With names in lower case."""
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verify(self, secret: str, now: datetime) -> None:
        """As the specification says a receiver does: github.com/standard-webhooks/standard-webhooks, "Verifying"."""
        message_id, stamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        assert abs(now.timestamp() - int(stamp)) <= TOLERANCE
        assert secret.startswith("whsec_")
        key = base64.b64decode(secret[len("whsec_") :], validate=True)
        assert 24 <= len(key) <= 64
        content = message_id.encode() + b"." + stamp.encode() + b"." + self.body
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        versions = [one.split(",", 1) for one in self.headers["webhook-signature"].split(" ")]
        assert any(v == "v1" and hmac.compare_digest(s, expected) for v, s in versions), "the signature is wrong"


@dataclass
class Receiver:
    url: str
    requests: list[Request] = field(default_factory=list)
    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    """No answer, until `gate` is set."""
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    @property
    def said(self) -> list[dict[str, Any]]:
        return [request.said for request in self.requests]

    @property
    def events(self) -> list[str]:
        return [said["event"] for said in self.said]


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        there = self.receiver
        there.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        there.reached.set()
        if there.hangs:
            there.gate.wait(30)
        try:
            self.send_response(there.status)
            for name, value in there.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(there.body)))
            self.end_headers()
            self.wfile.write(there.body)
        except OSError:
            self.close_connection = True  # the gateway waits no more

    def do_GET(self) -> None:
        raise AssertionError("a redirect was followed")

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Nothing: who does not take the certificate breaks off."""


@contextmanager
def receiving(port: int = 0, certificate: Path | None = None) -> Iterator[Receiver]:
    """A receiver, until the end of the block; with a certificate it speaks TLS."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", port), handler)
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_address[1]}/hooks/mine")
    handler.receiver = receiver  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
