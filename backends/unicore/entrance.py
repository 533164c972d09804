"""The way into a UNICORE site: the credential is shown, again where that is worth it, and what was chosen is compared
with what the site offers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
from pyunicore.aio.client import Transport

from backends.backend import CredentialSource, RenewingSource
from backends.errors import AuthenticationFailed, SiteUnavailable
from backends.spec import Credential
from backends.unicore.answers import is_refusal, told_by, words
from backends.unicore.credentials import SIGNED_FOR, header, preferences, unmet

WRONG_CLOCK = timedelta(seconds=60)
"""A key that signed by a clock so wrong signs once more, by the site's."""
MARGIN = timedelta(seconds=30)
ANONYMOUS = "anonymous"


class SiteClock(Protocol):
    @property
    def now(self) -> datetime:
        """The site's time, as far as it is known."""
        ...

    def hears(self, response: httpx.Response) -> None:
        """Set it by an answer of the site."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """The site knows us."""

    headers: Mapping[str, str] = field(repr=False)
    """With the credential."""
    answer: httpx.Headers = field(repr=False)
    """Headers of the server's answer."""
    me: Mapping[str, Any]
    """What the server says of itself and of us: `client`, `server`."""
    until: datetime | None
    """When what the headers show ends, by our clock; None where nobody tells."""


@dataclass(frozen=True, slots=True)
class Entrance:
    base: str
    client: httpx.AsyncClient
    credentials: CredentialSource
    clock: SiteClock

    async def enter(self) -> Entry:
        """Raises AuthenticationFailed, once recorded as refused, and SiteUnavailable.

        A credential that the site refuses is shown once. What was chosen is sent only when the credential is good and
        the site offers it: a server answers a bad choice like a bad password."""
        credential, response = await self._shown()
        me = self._said(response)
        if _role(me) == ANONYMOUS and credential.method != "none":
            raise await self._refused(credential, "The site takes us for an anonymous visitor.")
        if credential.preferences:
            response = await self._chosen(credential, me)
            me = self._said(response)
            if text := unmet(credential, me["client"], selected=True):
                raise await self._unmet(credential, text)
        headers = self._headers(credential, preferences(credential))
        return Entry(headers, response.headers, me, _until(credential))

    async def _shown(self) -> tuple[Credential, httpx.Response]:
        credential, signed_at = await self.credentials.get(), self.clock.now
        response = await self._knock(credential)
        if not is_refusal(response):
            return credential, response
        if credential.method == "ssh-key" and abs(self.clock.now - signed_at) > WRONG_CLOCK:
            response = await self._knock(credential)
        elif credential.method == "oidc" and isinstance(self.credentials, RenewingSource):
            # The issuer may have ended it before its time.
            newer = await self.credentials.renew(credential)
            if newer.secret != credential.secret:
                credential, response = newer, await self._knock(newer)
        if is_refusal(response):
            raise await self._refused(credential, f"HTTP {response.status_code}")
        return credential, response

    async def _chosen(self, credential: Credential, me: Mapping[str, Any]) -> httpx.Response:
        if text := unmet(credential, me["client"]):
            raise await self._unmet(credential, text)
        response = await self._knock(credential, preferences(credential))
        if is_refusal(response) or (response.is_error and "SecurityException" in response.text):
            chosen = ", ".join(f"{name} {value!r}" for name, value in credential.preferences.items())
            raise await self._unmet(credential, f"preferences: the site refuses {chosen}. Choose others, or leave out.")
        return response

    async def _knock(self, credential: Credential, chosen: str | None = None) -> httpx.Response:
        with told_by(self.base, ""):
            response = await self.client.get(self.base, headers=self._headers(credential, chosen))
        self.clock.hears(response)
        return response

    def _headers(self, credential: Credential, chosen: str | None) -> dict[str, str]:
        transport = Transport(header(credential, self.clock.now), client=self.client, use_security_sessions=False)
        transport.preferences = chosen
        headers: dict[str, str] = transport._headers({})
        del headers["Content-Type"]  # each request has its own
        return headers

    def _said(self, response: httpx.Response) -> Mapping[str, Any]:
        if response.is_error or response.is_redirect:
            raise SiteUnavailable(f"The site answered {response.status_code}: {words(response)}")
        try:
            me: Mapping[str, Any] = response.json()
            _role(me)
        except (ValueError, KeyError, TypeError):
            raise SiteUnavailable(f"{self.base} is no UNICORE server: {response.text[:200]!r}") from None
        return me

    async def _refused(self, credential: Credential, text: str) -> AuthenticationFailed:
        await self.credentials.refused(credential, text)
        who = credential.login_name or "the token"
        return AuthenticationFailed(f"{self.base} refused the login of {who}. Give a new credential.", text=text)

    async def _unmet(self, credential: Credential, text: str) -> AuthenticationFailed:
        await self.credentials.refused(credential, text)
        return AuthenticationFailed(text)


def _role(me: Mapping[str, Any]) -> str:
    return str(me["client"]["role"]["selected"])


def _until(credential: Credential) -> datetime | None:
    if credential.method == "ssh-key":
        return datetime.now(UTC) + SIGNED_FOR - MARGIN
    return credential.expires_at
