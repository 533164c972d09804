"""All HTTP to a UNICORE site, over pyunicore's transport, with what is broken in pyunicore 2.0.2 mended here:

- Its helpers `Client.get_jobs`, `Job.bss_details`, `Storage.rename` and `set_properties` raise, for they take a
  coroutine for a value. So the URLs are called.
- It raises a bare `httpx.HTTPError` without the response. Here the status is mapped to errors of the contract.
- It repeats a request by itself when the security session has ended (432): with the credential, in each of the tasks
  that run at once, so that a changed password would fail many times; and with an upload's body that was consumed, so
  that an empty file is stored without an error. Here one task logs in, and the body is made anew.
- It forgets the session when an answer does not name it (404 does not), and logs in again for every stream.
- `get_stream` does not look at the status: the text of an error would come back as the file.
- An unset `verify` means that any certificate is good. Here the client is ours: httpx, which pyunicore wants, over
  aiohttp, for its own pool takes three times the CPU (encode/httpx issue 3215), and a gateway brings many small files.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from backends.backend import CredentialSource
from backends.errors import InvalidJob, SiteUnavailable
from backends.reasons import Reason
from backends.spec import Site
from backends.unicore.answers import ReplyLost, check, is_refusal, told_by
from backends.unicore.http_client import HttpClient
from backends.unicore.session import Login, Session
from backends.unicore.tls import tls_context

SESSION_ENDED = 432
ATTEMPTS = 3
CONNECTIONS = 8
CONNECT_SECONDS, REPLY_SECONDS = 10.0, 60.0
IDLE_SECONDS = 20.0
"""How long a connection is kept for the next request; servers keep one for 30 s, as a rule."""
TURN_SECONDS = 600.0
"""How long a request may wait for one of the connections, when very many are to be sent at once."""
BYTES = {"Accept": "application/octet-stream"}

Body = bytes | Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class _Attempt:
    login: Login
    last: bool

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.login.credential if self.last or self.login.session is None else self.login.session)

    def again(self, response: httpx.Response) -> bool:
        return response.status_code == SESSION_ENDED and not self.last


class Channel:
    """One connection to one site: a pooled client, one login at a time. Entering a request may log in first.

    Raises SiteUnavailable, AuthenticationFailed, JobNotFound (404), Forbidden (403 although the login is good),
    InvalidJob with reason DISK_FULL, from every method."""

    def __init__(self, site: Site, credentials: CredentialSource) -> None:
        if not site.url or not site.url.startswith("https://"):
            message = f"Site {site.name}: its url must begin with https:// and end with /rest/core."
            raise InvalidJob(message, reason=Reason.INVALID_CONFIG)
        self.base = site.url.rstrip("/")
        self._client: httpx.AsyncClient = HttpClient(
            verify=tls_context(site),
            limits=httpx.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS
            ),
            timeout=_limits(REPLY_SECONDS),
        )
        self._session = Session(self.base, self._client, credentials)

    async def aclose(self) -> None:
        await self._client.aclose()

    @property
    def now(self) -> datetime:
        """The site's time, as its last answer said it: our clock may be wrong by a day."""
        return self._session.now

    async def me(self) -> Mapping[str, Any]:
        """Log in anew, and say what the server says of itself and of us."""
        return (await self._session.anew()).me

    async def user(self) -> str:
        """The distinguished name by which the server knows us."""
        return str((await self._session.entered()).me["client"].get("dn", ""))

    async def get(self, path: str, *, seconds: float = REPLY_SECONDS, **params: str) -> Any:
        """The JSON at a path below the base address."""
        response = await self._send("GET", path, params=params, timeout=_limits(seconds))
        try:
            return response.json()
        except ValueError:
            raise SiteUnavailable(f"The site's answer is no JSON: {response.text[:200]!r}") from None

    async def text(self, path: str) -> str:
        return (await self._send("GET", path, headers={"Accept": "text/plain"})).text

    async def post(self, path: str, value: Mapping[str, Any]) -> httpx.Response:
        return await self._send("POST", path, json=value)

    async def change(self, path: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """PUT of properties; the answer says of each `OK`, or why not."""
        answer: Mapping[str, Any] = (await self._send("PUT", path, json=value)).json()
        return answer

    async def upload(self, path: str, body: Body, size: int) -> None:
        """The body is made anew when it has to be sent again. Its arrival is for the caller to verify."""
        own = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        await self._send("PUT", path, body=body, headers=own)

    async def delete(self, path: str) -> None:
        await self._send("DELETE", path)

    async def download(self, path: str, first: int, last: int, *, seconds: float) -> bytes:
        """Bytes `first` to `last` of a file, both of which must be there: beyond the end a site in remote mode never
        answers, and one of its threads is lost. A server that sends more than was asked for is cut."""
        wanted = {**BYTES, "Range": f"bytes={first}-{last}"}
        for n in range(ATTEMPTS):
            attempt = await self._attempt(n)
            with told_by(self.base, path):
                async with self._streamed(path, attempt.headers | wanted, seconds) as response:
                    if attempt.again(response):
                        self._session.left(attempt.login)
                        continue
                    if response.is_error:
                        await response.aread()
                    await self._checked(response, attempt.login, path)
                    return await _cut(response, first, last)
        raise AssertionError  # the last attempt returns or raises

    def _streamed(
        self, path: str, headers: Mapping[str, str], seconds: float
    ) -> AbstractAsyncContextManager[httpx.Response]:
        return self._client.stream("GET", self.base + path, headers=headers, timeout=_limits(seconds))

    # -- one request

    async def _send(self, method: str, path: str, *, body: Body | None = None, **more: Any) -> httpx.Response:
        own = more.pop("headers", {})
        for n in range(ATTEMPTS):
            attempt = await self._attempt(n)
            try:
                async with asyncio.timeout(TURN_SECONDS + REPLY_SECONDS) as limit:
                    content = _watched(body(), limit) if callable(body) else body
                    with told_by(self.base, path):
                        response = await self._client.request(
                            method, self.base + path, headers=attempt.headers | own, content=content, **more
                        )
            except TimeoutError:
                raise ReplyLost(f"{self.base}{path} takes no more of what is sent.") from None
            if attempt.again(response):
                self._session.left(attempt.login)
                continue
            self._session.hears(response)
            await self._checked(response, attempt.login, path)
            return response
        raise AssertionError  # the last attempt returns or raises

    async def _attempt(self, n: int) -> _Attempt:
        """By the session; by a new one, when the first has ended; and by the credential, for a server keeps so few
        sessions of one user that others may have ended ours again."""
        return _Attempt(await self._session.entered(), last=n == ATTEMPTS - 1)

    async def _checked(self, response: httpx.Response, login: Login, path: str) -> None:
        """Raises what the answer means, and AuthenticationFailed when a refusal is that of our login."""
        if is_refusal(response):
            await self._session.still_welcome(login)
        check(response, self.base, path)


def _limits(seconds: float) -> httpx.Timeout:
    """Of each wait in one request; none of them is for a server that stops to read what is sent."""
    return httpx.Timeout(seconds, connect=CONNECT_SECONDS, pool=TURN_SECONDS)


async def _watched(parts: AsyncIterator[bytes], limit: asyncio.Timeout) -> AsyncIterator[bytes]:
    """The parts of a body, each of which the server has to take within the time for a reply."""
    loop = asyncio.get_running_loop()
    async for part in parts:
        limit.reschedule(loop.time() + REPLY_SECONDS)
        yield part
    limit.reschedule(loop.time() + 2 * REPLY_SECONDS)


async def _cut(response: httpx.Response, first: int, last: int) -> bytes:
    """What was asked for, also of a server that knows no ranges and sends all."""
    skip = first if response.status_code == httpx.codes.OK else 0
    got = bytearray()
    async for part in response.aiter_bytes():
        got += part
        if len(got) > skip + last - first:
            break
    return bytes(got[skip : skip + last - first + 1])
