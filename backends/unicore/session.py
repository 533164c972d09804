"""Who we are for a UNICORE site: one login at a time, and the session of the server that stands for it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from backends.backend import CredentialSource
from backends.unicore.entrance import Entrance

SESSION = "X-UNICORE-SecuritySession"


@dataclass(frozen=True, slots=True)
class Login:
    """One successful login."""

    credential: Mapping[str, str] = field(repr=False)
    """Headers with the credential itself."""
    session: Mapping[str, str] | None = field(repr=False)
    """Headers with the session that stands for it; None where the server keeps none."""
    me: Mapping[str, Any]
    """The answer of the server's base address: `client`, `server`."""
    until: datetime | None = None
    """When the credential ends, by our clock."""

    @property
    def over(self) -> bool:
        """A session goes on when the credential has ended, until the server ends it."""
        return self.session is None and self.until is not None and self.until <= datetime.now(UTC)


class Session:
    """Of one connection. A refused credential is one failed login on the site, however many tasks want in."""

    def __init__(self, base: str, client: httpx.AsyncClient, credentials: CredentialSource) -> None:
        self._base = base
        self._client = client
        self._credentials = credentials
        self._entering = asyncio.Lock()
        self._login: Login | None = None
        self._ahead = timedelta()

    @property
    def now(self) -> datetime:
        """The site's time, as its last answer said it: our clock may be wrong by a day."""
        return datetime.now(UTC) + self._ahead

    def hears(self, response: httpx.Response) -> None:
        """Set the site's time by an answer of it."""
        if said := response.headers.get("Date"):
            try:
                self._ahead = parsedate_to_datetime(said) - datetime.now(UTC)
            except (ValueError, TypeError):
                return

    async def entered(self) -> Login:
        """The present login, or a new one. Raises AuthenticationFailed, SiteUnavailable."""
        if self._login is None or self._login.over:
            async with self._entering:
                if self._login is None or self._login.over:
                    self._login = await self._enter()
        return self._login

    async def anew(self) -> Login:
        """A new login, whatever there is."""
        self._login = None
        return await self.entered()

    def left(self, login: Login) -> None:
        """This login is not good any more; a later one stays."""
        if self._login is login:
            self._login = None

    async def still_welcome(self, login: Login) -> None:
        """Raises AuthenticationFailed when it was the credential that was refused. A session stands for a good one."""
        if login.session is None:
            self.left(login)
            await self.entered()

    async def _enter(self) -> Login:
        entry = await Entrance(self._base, self._client, self._credentials, self).enter()
        name = entry.answer.get(SESSION)
        plain = {name: value for name, value in entry.headers.items() if name != "Authorization"}
        return Login(entry.headers, {**plain, SESSION: name} if name else None, entry.me, entry.until)
