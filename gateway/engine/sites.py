"""Open backends, one per connection and credential version, kept while they are used."""

import asyncio
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sqlalchemy import select

from backends import registry
from backends.backend import Backend
from backends.errors import SiteUnavailable
from gateway.connections.credentials import StoredCredentials
from gateway.connections.rows import Connection
from gateway.db.session import Database
from gateway.secrets.vault import Vault
from gateway.sites.rows import Site
from gateway.sites.service import backend_site


@dataclass(slots=True)
class _Open:
    backend: Backend
    stack: AsyncExitStack
    version: tuple[object, ...]


class Sites:
    """Gives the backend of a connection. A changed site or credential gets a new one; the old one is closed."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self.vault = vault
        self._open: dict[uuid.UUID, _Open] = {}
        self._locks: dict[uuid.UUID, asyncio.Lock] = {}
        self._preparing: dict[uuid.UUID, asyncio.Semaphore] = {}

    async def backend(self, connection_id: uuid.UUID) -> Backend:
        """Raises SiteUnavailable when the operator paused the site or the connection is gone."""
        async with self._db.reading() as session:
            both = select(Connection, Site).join(Site, Site.id == Connection.site_id)
            row = (await session.execute(both.where(Connection.id == connection_id))).one_or_none()
        if row is None:
            raise SiteUnavailable("The connection of this run is gone.")
        connection, site = row
        if site.paused_at is not None:
            raise SiteUnavailable(f"Site {site.name} is paused by its operator.")
        spec = backend_site(site)
        version = (connection.version, repr(spec))
        async with self._locks.setdefault(connection_id, asyncio.Lock()):
            there = self._open.get(connection_id)
            if there is not None and there.version == version:
                return there.backend
            if there is not None:
                del self._open[connection_id]
                await there.stack.aclose()
            stack = AsyncExitStack()
            credentials = StoredCredentials(self._db, self.vault, connection_id)
            backend = await stack.enter_async_context(registry.kind(site.kind).open(spec, credentials))
            self._open[connection_id] = _Open(backend, stack, version)
            return backend

    def preparing(self, site_id: uuid.UUID, limit: int) -> asyncio.Semaphore:
        """At most so many preparations at a time on one site, over all users of this gateway."""
        return self._preparing.setdefault(site_id, asyncio.Semaphore(limit))

    async def close(self) -> None:
        for there in self._open.values():
            await there.stack.aclose()
        self._open.clear()
