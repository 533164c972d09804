"""Open backends, one per connection and credential version, kept while they are used."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import select

from backends import registry
from backends.backend import Backend
from backends.errors import SiteUnavailable
from gateway.connections.credentials import StoredCredentials
from gateway.connections.issuers import TokenIssuers
from gateway.connections.rows import Connection
from gateway.db.session import Database
from gateway.secrets.vault import Vault
from gateway.sites.rows import Site
from gateway.sites.service import backend_site
from gateway.together import Together

TURN_SECONDS = 2.0
"""How long a run waits for its turn on a site before it lets other runs of the gateway go on."""
IDLE_SECONDS = 7200.0
"""How long the backend of a connection is kept that nobody asks for."""


class SitePaused(SiteUnavailable):
    """The operator paused the site: nothing is asked of it, and nothing follows from its silence."""


class NoTurn(Exception):
    """The site does as much for this gateway as it may just now."""


@dataclass(slots=True)
class _Open:
    backend: Backend
    stack: AsyncExitStack
    version: tuple[object, ...]
    used: float = field(default_factory=time.monotonic)


class Sites:
    """Gives the backend of a connection. A changed site or credential gets a new one; the old one is closed."""

    def __init__(self, db: Database, vault: Vault, issuers: TokenIssuers | None = None) -> None:
        self._db = db
        self._issuers = issuers or TokenIssuers()
        self.vault = vault
        self._open: dict[uuid.UUID, _Open] = {}
        self._locks: dict[uuid.UUID, asyncio.Lock] = {}
        self._turns: dict[tuple[uuid.UUID, int], asyncio.Semaphore] = {}
        self._row = Together(self._rows)

    async def _rows(self, connection_ids: Sequence[uuid.UUID]) -> list[tuple[Connection, Site] | None]:
        both = select(Connection, Site).join(Site, Site.id == Connection.site_id)
        async with self._db.reading() as session:
            found = await session.execute(both.where(Connection.id.in_(set(connection_ids))))
            rows = {connection.id: (connection, site) for connection, site in found}
        return [rows.get(connection_id) for connection_id in connection_ids]

    async def backend(self, connection_id: uuid.UUID) -> Backend:
        """Raises SitePaused when the operator paused the site, and SiteUnavailable when the connection is gone."""
        row = await self._row(connection_id)
        if row is None:
            raise SiteUnavailable("The connection of this run is gone.")
        connection, site = row
        if site.paused_at is not None:
            raise SitePaused(f"Site {site.name} is paused by its operator.")
        spec = backend_site(site)
        version = (connection.version, repr(spec))
        async with self._locks.setdefault(connection_id, asyncio.Lock()):
            there = self._open.get(connection_id)
            if there is not None and there.version == version:
                there.used = time.monotonic()
                return there.backend
            if there is not None:
                del self._open[connection_id]
                await there.stack.aclose()
            stack = AsyncExitStack()
            credentials = StoredCredentials(self._db, self.vault, connection_id, issuers=self._issuers)
            backend = await stack.enter_async_context(registry.kind(site.kind).open(spec, credentials))
            self._open[connection_id] = _Open(backend, stack, version)
            return backend

    @asynccontextmanager
    async def turn(self, site: Site) -> AsyncIterator[None]:
        """At most so many at a time work on one site's login nodes, over all users of this gateway.

        Raises NoTurn when none is free within TURN_SECONDS."""
        limit = int(site.limits.get("preparations", 4))
        turns = self._turns.setdefault((site.id, limit), asyncio.Semaphore(limit))
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await turns.acquire()
        except TimeoutError:
            raise NoTurn from None
        try:
            yield
        finally:
            turns.release()

    async def close_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Close what nobody asked for so long: a connection to a site is not kept for nothing."""
        for connection_id, there in list(self._open.items()):
            if time.monotonic() - there.used >= seconds and self._open.get(connection_id) is there:
                del self._open[connection_id]
                await there.stack.aclose()

    async def close(self) -> None:
        await self._row.aclose()
        for there in self._open.values():
            await there.stack.aclose()
        self._open.clear()
