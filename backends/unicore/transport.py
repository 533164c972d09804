"""All HTTP to a UNICORE site, over pyunicore's transport, with what is broken in pyunicore 2.0.2 mended here:

- Its helpers `Client.get_jobs`, `Job.bss_details`, `Storage.rename` and `set_properties` raise, for they take a
  coroutine for a value. So the URLs are called.
- It raises a bare `httpx.HTTPError` without the response. Here the status is mapped to errors of the contract.
- It repeats a request by itself when the security session has ended (432): with the credential, in each of the tasks
  that run at once, so that a changed password would fail many times; and with an upload's body that was consumed, so
  that an empty file is stored without an error. Here one task logs in, and the body is made anew.
- It forgets the session when an answer does not name it (404 does not), and logs in again for every stream.
- `get_stream` does not look at the status: the text of an error would come back as the file.
- An unset `verify` means that any certificate is good. Here the client is ours.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pyunicore.aio.client import Transport

from backends.backend import CredentialSource
from backends.errors import AuthenticationFailed, InvalidJob, JobNotFound, SiteUnavailable
from backends.reasons import Reason
from backends.spec import Credential, Site
from backends.unicore.credentials import current, header
from backends.unicore.tls import tls_context

SESSION = "X-UNICORE-SecuritySession"
SESSION_ENDED = 432
ATTEMPTS = 3
CONNECTIONS = 8
CONNECT_SECONDS, REPLY_SECONDS = 10.0, 60.0
BYTES = {"Accept": "application/octet-stream"}
_UNKNOWN = "ResourceUnknownException"
"""How UNICORE/X 10 says 404 in a 503."""
_FULL = ("no space left", "quota exceeded", "disk full")

Body = Callable[[], AsyncIterator[bytes]]


class ReplyLost(SiteUnavailable):
    """The request may have arrived; its answer did not."""


class ServerError(SiteUnavailable):
    """The server answered with an error of its own (500): about this one object, or about all."""


class Forbidden(JobNotFound):
    """Our login is good, and this object belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Login:
    """One successful login."""

    credential: Mapping[str, str] = field(repr=False)
    """Headers with the credential itself."""
    session: Mapping[str, str] | None = field(repr=False)
    """Headers with the session that stands for it; None where the server keeps none."""
    me: Mapping[str, Any]
    """The answer of the server's base address: `client`, `server`."""


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
        self._credentials = credentials
        self._client = httpx.AsyncClient(
            verify=tls_context(site),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            timeout=httpx.Timeout(REPLY_SECONDS, connect=CONNECT_SECONDS),
        )
        self._entering = asyncio.Lock()
        self._login: Login | None = None
        self._ahead = timedelta()

    async def aclose(self) -> None:
        await self._client.aclose()

    @property
    def now(self) -> datetime:
        """The site's time, as its last answer said it: our clock may be wrong by a day."""
        return datetime.now(UTC) + self._ahead

    async def me(self) -> Mapping[str, Any]:
        """Log in anew, and say what the server says of itself and of us."""
        self._login = None
        return (await self._entered()).me

    async def get(self, path: str, *, seconds: float = REPLY_SECONDS, **params: str) -> Any:
        """The JSON at a path below the base address."""
        response = await self._send("GET", path, params=params, timeout=seconds)
        try:
            return response.json()
        except ValueError:
            raise SiteUnavailable(f"The site's answer is no JSON: {response.text[:200]!r}") from None

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
        async for attempt in self._attempts():
            async with self._mapped(path), self._streamed(path, attempt.headers | wanted, seconds) as response:
                if attempt.again(response):
                    continue
                if response.is_error:
                    await response.aread()
                await self._checked(response, attempt.login, path)
                return await _cut(response, first, last)
        raise AssertionError  # the last attempt returns or raises

    def _streamed(
        self, path: str, headers: Mapping[str, str], seconds: float
    ) -> AbstractAsyncContextManager[httpx.Response]:
        return self._client.stream("GET", self.base + path, headers=headers, timeout=seconds)

    # -- one request

    async def _send(self, method: str, path: str, *, body: Body | None = None, **more: Any) -> httpx.Response:
        own = more.pop("headers", {})
        async for attempt in self._attempts():
            content = body() if body is not None else None
            async with self._mapped(path):
                response = await self._client.request(
                    method, self.base + path, headers=attempt.headers | own, content=content, **more
                )
            if attempt.again(response):
                continue
            self._seen(response)
            await self._checked(response, attempt.login, path)
            return response
        raise AssertionError  # the last attempt returns or raises

    async def _attempts(self) -> AsyncIterator["_Attempt"]:
        """By the session; by a new one, when the first has ended; and by the credential, for a server keeps so few
        sessions of one user that others may have ended ours again."""
        for n in range(ATTEMPTS):
            attempt = _Attempt(await self._entered(), last=n == ATTEMPTS - 1)
            yield attempt
            self._left(attempt.login)

    @asynccontextmanager
    async def _mapped(self, path: str) -> AsyncIterator[None]:
        """Errors of the network as errors of the contract."""
        where = f"{self.base}{path}"
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise SiteUnavailable(_unreached(self.base, error), text=str(error)) from None
        except httpx.TimeoutException:
            raise ReplyLost(f"{where} did not answer in time.") from None
        except httpx.HTTPError as error:
            raise ReplyLost(f"The connection to {where} broke: {error or type(error).__name__}.") from None

    async def _checked(self, response: httpx.Response, login: Login, path: str) -> None:
        code = response.status_code
        if not response.is_error:
            if response.is_redirect:
                raise SiteUnavailable(f"{self.base}{path} sends us elsewhere, where no credential goes.")
            return
        text = _words(response)
        if code == httpx.codes.NOT_FOUND or _UNKNOWN in text:
            raise JobNotFound(f"The site has no {path}.", text=text)
        if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            await self._still_welcome(login)
            raise Forbidden(f"The site refuses {path}: it belongs to another user, or this is not allowed.", text=text)
        if any(word in text.lower() for word in _FULL):
            message = "The disk or quota of the site is full. Make room there, then submit again."
            raise InvalidJob(message, reason=Reason.DISK_FULL, text=text)
        kind = ServerError if code == httpx.codes.INTERNAL_SERVER_ERROR else SiteUnavailable
        raise kind(f"The site answered {code}: {text}", text=text)

    async def _still_welcome(self, login: Login) -> None:
        """Raises AuthenticationFailed when it was the credential that was refused. A session stands for a good one."""
        if login.session is None:
            self._left(login)
            await self._entered()

    def _seen(self, response: httpx.Response) -> None:
        if said := response.headers.get("Date"):
            try:
                self._ahead = parsedate_to_datetime(said) - datetime.now(UTC)
            except (ValueError, TypeError):
                return

    # -- the login

    def _left(self, login: Login) -> None:
        if self._login is login:
            self._login = None

    async def _entered(self) -> Login:
        """The present login, or a new one: by one task, so that a refused credential is one failed login there."""
        if self._login is None:
            async with self._entering:
                if self._login is None:
                    self._login = await self._enter()
        return self._login

    async def _enter(self) -> Login:
        credential = await current(self._credentials, self.now)
        transport = Transport(header(credential), client=self._client, use_security_sessions=False)
        if credential.group:
            transport.preferences = f"group:{credential.group}"
        headers = transport._headers({})
        del headers["Content-Type"]  # each request has its own
        async with self._mapped(""):
            response = await self._client.get(self.base, headers=headers)
        self._seen(response)
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise await self._refused(credential, f"HTTP {response.status_code}")
        if response.is_error or response.is_redirect:
            raise SiteUnavailable(f"The site answered {response.status_code}: {_words(response)}")
        try:
            me: Mapping[str, Any] = response.json()
            role = me["client"]["role"]["selected"]
        except (ValueError, KeyError, TypeError):
            raise SiteUnavailable(f"{self.base} is no UNICORE server: {response.text[:200]!r}") from None
        if role == "anonymous" and credential.method != "none":
            raise await self._refused(credential, "The site takes us for an anonymous visitor.")
        session = response.headers.get(SESSION)
        if not session:
            return Login(headers, None, me)
        plain = {name: value for name, value in headers.items() if name != "Authorization"}
        return Login(headers, {**plain, SESSION: session}, me)

    async def _refused(self, credential: Credential, text: str) -> AuthenticationFailed:
        await self._credentials.refused(credential, text)
        who = credential.login_name or "the token"
        return AuthenticationFailed(f"{self.base} refused the login of {who}. Give a new credential.", text=text)


async def _cut(response: httpx.Response, first: int, last: int) -> bytes:
    """What was asked for, also of a server that knows no ranges and sends all."""
    skip = first if response.status_code == httpx.codes.OK else 0
    got = bytearray()
    async for part in response.aiter_bytes():
        got += part
        if len(got) > skip + last - first:
            break
    return bytes(got[skip : skip + last - first + 1])


def _unreached(base: str, error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"The certificate of {base} is not trusted: {error}. Give the authority that signed it to the site, "
            "as its tlsCa."
        )
    return f"{base} cannot be reached: {error or type(error).__name__}."


def _words(response: httpx.Response) -> str:
    """What the server says of an error, without its page around it."""
    try:
        said = response.json().get("errorMessage")
    except (ValueError, AttributeError):
        said = None
    return str(said or response.reason_phrase or f"HTTP {response.status_code}")[:1000]
