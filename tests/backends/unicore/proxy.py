"""A server between a backend and UNICORE that loses replies, cuts uploads, answers by itself, and counts."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from tests.site_fixtures import UnicoreSite

HOP = frozenset({"transfer-encoding", "content-length", "connection", "content-encoding"})


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass
class Fault:
    """What happens to the next `times` requests of a method whose path ends so."""

    method: str
    ending: str
    times: int = 1
    lose_reply: bool = False
    cut_body: bool = False
    """The server gets half of the body; whether the client hears of it is `lose_reply`."""
    status: int | None = None
    """Answered by the proxy; the server gets nothing."""
    body: bytes = b""
    """Of the proxy's answer."""
    after: Callable[[], None] | None = None
    """Done when the server has answered, before the client hears of it."""


@dataclass
class Proxy:
    site: UnicoreSite
    """The real one, reached through the proxy."""
    upstream: httpx.AsyncClient
    faults: list[Fault] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    told: int = 0
    """Bytes of all answers."""

    def fault(self, method: str, ending: str, **what: object) -> Fault:
        self.faults.append(Fault(method, ending, **what))  # type: ignore[arg-type]
        return self.faults[-1]

    def count(self, method: str = "", ending: str = "") -> int:
        return sum(r.method.startswith(method) and _bare(r.path).endswith(ending) for r in self.seen)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_request(reader)) is not None:
                self.seen.append(request)
                if not await self._answer(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == request.method and _bare(request.path).endswith(fault.ending):
                fault.times -= 1
                return fault
        return None

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """False when the connection is to be cut."""
        fault = self._fault(request)
        if fault is not None and fault.status is not None:
            head = f"HTTP/1.1 {fault.status} Told\r\nContent-Length: {len(fault.body)}\r\n\r\n"
            writer.write(head.encode() + fault.body)
            await writer.drain()
            return True
        body = request.body[: len(request.body) // 2] if fault is not None and fault.cut_body else request.body
        headers = {name: value for name, value in request.headers.items() if name not in HOP | {"host"}}
        try:
            response = await self.upstream.request(request.method, request.path, headers=headers, content=body)
        except httpx.HTTPError:
            return False
        if fault is not None and fault.after is not None:
            await asyncio.to_thread(fault.after)
        if fault is not None and fault.lose_reply:
            return False
        lines = [f"{name}: {value}" for name, value in response.headers.items() if name.lower() not in HOP]
        lines += [f"Content-Length: {len(response.content)}"]
        head = "\r\n".join((f"HTTP/1.1 {response.status_code} {response.reason_phrase}", *lines, "", ""))
        writer.write(head.encode("latin-1") + response.content)
        self.told += len(response.content)
        await writer.drain()
        return True


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def _bare(path: str) -> str:
    return path.partition("?")[0]


@asynccontextmanager
async def proxied(site: UnicoreSite) -> AsyncIterator[Proxy]:
    """`Proxy.site` is the server as the backend is to see it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(site.ca, Path(site.directory, "conf", "key.pem"))
    base = site.url.removesuffix("/rest/core")
    verify = ssl.create_default_context(cafile=site.ca)
    async with httpx.AsyncClient(base_url=base, verify=verify, timeout=60) as upstream:
        proxy = Proxy(site, upstream)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        proxy.site = replace(site, url=f"https://localhost:{port}/rest/core")
        try:
            yield proxy
        finally:
            server.close()
