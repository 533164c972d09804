"""The one door to issuers of tokens: OAuth 2.0 token endpoints, and the discovery document that names one.

Users name these addresses, so what holds for git hosts holds here: docs/explanation/decisions/0009-outbound-git.md.
https://www.rfc-editor.org/rfc/rfc6749#section-6, https://openid.net/specs/openid-connect-discovery-1_0.html
"""

import asyncio
import json
import ssl
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import httpx

from backends.errors import AuthenticationFailed, SiteUnavailable
from gateway import clock
from gateway.errors import InvalidInput
from gateway.git_hosts import GitHosts, PrivateHost

T = TypeVar("T")
SETTING = "MANTIK_ALLOWED_TOKEN_HOSTS"
DISCOVERY = "/.well-known/openid-configuration"
ANSWER_SECONDS = 20.0
LARGEST_ANSWER = 1 << 20
USUAL_LIFE = timedelta(minutes=5)
"""Of a token whose issuer does not say how long it lasts."""
EARLY = timedelta(seconds=60)
"""A token is renewed so long before its end, one of less than two minutes at half of its life."""
REFUSALS = (400, 401, 403)
_TIMEOUT = httpx.Timeout(ANSWER_SECONDS, connect=5.0)
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Renewal:
    """What the issuer wants to see for a new token."""

    token_url: str
    client_id: str
    refresh_token: str = field(repr=False)
    client_secret: str | None = field(default=None, repr=False)
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """An answer of the issuer. Times are the gateway's: an issuer tells how long, not until when."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    """A new one: the old one may be worth nothing from now on."""
    issued_at: datetime
    renew_at: datetime
    ends_at: datetime


class TokenIssuers:
    """The issuers that this gateway may ask: by default all whose addresses are public. One for a process."""

    def __init__(self, hosts: GitHosts | None = None, trusted: ssl.SSLContext | None = None) -> None:
        """`trusted`: whose certificates are taken; the system's by default."""
        self._hosts = hosts or GitHosts(setting=SETTING)
        self._trusted = trusted
        self._under_way: dict[object, asyncio.Future[Any]] = {}
        self.unstored: dict[object, Tokens] = {}
        """By the id of the secret that they are to replace: answers that the database did not take yet."""

    def _authorities(self) -> ssl.SSLContext:
        """Read when they are needed first, for that takes a while and most gateways ask nobody."""
        if self._trusted is None:
            self._trusted = ssl.create_default_context()
        return self._trusted

    async def once(self, key: object, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `make`, which runs once for all who ask with this key meanwhile, and goes on when they are
        cancelled: an answer of an issuer cannot be had twice."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(make())
            task.add_done_callback(lambda done: self._done(key, done))
        found: T = await asyncio.shield(task)
        return found

    def _done(self, key: object, task: asyncio.Future[Any]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    async def aclose(self) -> None:
        """Wait for what is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way.values())

    def check_url(self, url: str, name: str) -> str:
        """The URL without a slash at its end. Raises InvalidInput that names the field and says what to write."""
        parts = _parts(url)
        if parts is None or not parts.hostname:
            raise InvalidInput(f"{name}: this is no address. Give https://host/path, as your issuer documents it.")
        if parts.username is not None or parts.query or parts.fragment:
            raise InvalidInput(f"{name}: leave out user names, and what follows `?` or `#`.")
        if parts.scheme != "https" and not (parts.scheme == "http" and self._is_ours(parts.hostname)):
            raise InvalidInput(f"{name}: only https is taken. Give https://host/path.")
        if self._hosts.allowed and not self._hosts.named(parts.hostname):
            raise InvalidInput(f"{name}: the gateway asks these issuers only: {', '.join(self._hosts.allowed)}.")
        try:
            self._hosts.check(parts.hostname)
        except PrivateHost as error:
            raise InvalidInput(f"{name}: {error}") from None
        return url.rstrip("/")

    def _is_ours(self, host: str) -> bool:
        """The operator named this machine: what goes there stays there."""
        try:
            return self._hosts.named(host) and ip_address(host).is_loopback
        except ValueError:
            return False

    async def token_url(self, issuer: str) -> str:
        """The token endpoint that an issuer names. Raises InvalidInput with the next step."""
        issuer = self.check_url(issuer, "issuer")
        instead = "Give its token endpoint as tokenUrl instead."
        try:
            status, said = await self._ask("GET", issuer + DISCOVERY)
        except SiteUnavailable as error:
            raise InvalidInput(f"issuer: {error.message} Try again later, or give its token endpoint.") from None
        if status != httpx.codes.OK or not isinstance(said.get("token_endpoint"), str):
            raise InvalidInput(f"issuer: {issuer}{DISCOVERY} answered {status} and names no token_endpoint. {instead}")
        if str(said.get("issuer", "")).rstrip("/") != issuer:
            raise InvalidInput(f"issuer: {issuer} calls itself {said.get('issuer')!r}. Give that address, or tokenUrl.")
        return self.check_url(said["token_endpoint"], "issuer: its token endpoint")

    async def renew(self, renewal: Renewal) -> Tokens:
        """Trade the refresh token for a new access token.

        Raises AuthenticationFailed when the issuer refused it, SiteUnavailable when it could not be asked."""
        form = {"grant_type": "refresh_token", "refresh_token": renewal.refresh_token, "client_id": renewal.client_id}
        form |= {"client_secret": renewal.client_secret} if renewal.client_secret else {}
        form |= {"scope": renewal.scope} if renewal.scope else {}
        try:
            self.check_url(renewal.token_url, "tokenUrl")
        except InvalidInput as error:
            raise SiteUnavailable(error.detail) from None
        status, said = await self._ask("POST", renewal.token_url, form)
        if status in REFUSALS and "error" in said:
            text = _without_secrets(str(said.get("error_description") or said["error"])[:300], renewal)
            raise AuthenticationFailed(
                f"The token issuer {renewal.token_url} does not renew the login: {text.rstrip('.')}. "
                f"{_next_step(str(said['error']))}",
                text=text,
            )
        return _tokens(renewal.token_url, status, said)

    async def _ask(self, method: str, url: str, form: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of an answer; an empty one when it is none. Redirects are not followed."""
        parts = urlsplit(url)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                addresses = await self._hosts.addresses(parts.hostname or "") or (parts.hostname or "",)
                for address in addresses[:-1]:
                    with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                        return await self._sent(method, parts, address, form)
                return await self._sent(method, parts, addresses[-1], form)
        except PrivateHost as error:
            raise SiteUnavailable(f"The token issuer {url}: {error}") from None
        except TimeoutError:
            raise SiteUnavailable(f"The token issuer {url} did not answer within {ANSWER_SECONDS:.0f} s.") from None
        except (httpx.HTTPError, OSError) as error:
            why = str(error) or type(error).__name__
            raise SiteUnavailable(f"The token issuer {url} could not be asked: {why}.") from None

    async def _sent(
        self, method: str, parts: SplitResult, address: str, form: Mapping[str, str] | None
    ) -> tuple[int, dict[str, Any]]:
        """To the address that was judged, in the name of the host: the name may mean another by now."""
        shown = f"[{address}]" if ":" in address else address
        there = parts._replace(netloc=shown + (f":{parts.port}" if parts.port else "")).geturl()
        headers = {"Host": parts.netloc, "Accept": "application/json"}
        async with (
            httpx.AsyncClient(verify=self._authorities(), timeout=_TIMEOUT, trust_env=False) as client,
            client.stream(
                method, there, data=form, headers=headers, extensions={"sni_hostname": parts.hostname or ""}
            ) as answer,
        ):
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > LARGEST_ANSWER:
                    return answer.status_code, {}
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        return answer.status_code, said if isinstance(said, dict) else {}


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if url.isascii() and url.isprintable() and " " not in url and (parts.port or 1) > 0 else None
    except ValueError:
        return None


def _tokens(url: str, status: int, said: Mapping[str, Any]) -> Tokens:
    access, refresh = said.get("access_token"), said.get("refresh_token")
    if status != httpx.codes.OK or not isinstance(access, str) or not is_token(access):
        raise SiteUnavailable(f"The token issuer {url} answered {status} without a token that can be sent.")
    now = clock.now()
    try:
        life = timedelta(seconds=max(float(said["expires_in"]), 1.0))
        ends = now + life
    except (KeyError, TypeError, ValueError, OverflowError):
        life, ends = USUAL_LIFE, now + USUAL_LIFE
    again = refresh if isinstance(refresh, str) and is_token(refresh) else None
    return Tokens(access, again, now, ends - min(EARLY, life / 2), ends)


def is_token(text: str) -> bool:
    """Whether it can stand in a header."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _next_step(error: str) -> str:
    if error in ("invalid_client", "unauthorized_client"):
        return "Check clientId and clientSecret of the connection, and log in anew."
    if error == "invalid_scope":
        return "Check the scope of the connection, and log in anew."
    return "Log in anew: give the connection a new refresh token."


def _without_secrets(text: str, renewal: Renewal) -> str:
    for secret in (renewal.refresh_token, renewal.client_secret):
        if secret:
            text = text.replace(secret, _HIDDEN)
    return "".join(c if c.isprintable() else " " for c in text)
