"""Reading connections: the owner's only, and never a secret."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.connections.rows import Connection, CredentialVersion
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import NotFound
from gateway.schemas.sites import ConnectionView
from gateway.schemas.users import UserView
from gateway.schemas.wire import Page
from gateway.sites.rows import Site
from gateway.users.access import require_self
from gateway.users.caller import Caller


async def listing(db: Database, caller: Caller, user_id: UUID, cursor: str | None, limit: int) -> Page[ConnectionView]:
    require_self(caller, user_id)
    async with db.reading() as session:
        rows, following = await fetch(session, _own(caller), Connection, cursor, limit)
        items = [await view(session, caller, row) for row in rows]
    return Page(items=items, next_cursor=following)


async def show(db: Database, caller: Caller, user_id: UUID, connection_id: UUID) -> ConnectionView:
    require_self(caller, user_id)
    async with db.reading() as session:
        return await view(session, caller, await own_row(session, caller, connection_id))


async def own_row(session: AsyncSession, caller: Caller, connection_id: UUID) -> Connection:
    row = (await session.scalars(_own(caller).where(Connection.id == connection_id))).one_or_none()
    if row is None:
        raise NotFound("You have no such connection.")
    return row


async def view(session: AsyncSession, caller: Caller, row: Connection) -> ConnectionView:
    version = await session.get_one(CredentialVersion, (row.id, row.version))
    site = await session.get(Site, row.site_id) if row.site_id is not None else None
    return ConnectionView(
        connection_id=row.id,
        user=UserView(user_id=caller.user_id, name=caller.name),
        connection_name=row.name,
        connection_provider=row.provider,
        auth_method=row.auth_method,
        site_id=row.site_id,
        site_name=site.name if site is not None else None,
        certificate_checked=site.verify_tls if site is not None else True,
        origin=row.origin,
        login_name=row.login_name,
        version=row.version,
        public_key=version.public_key,
        **_issuer(version),
        preferences=version.preferences or {},
        valid_until=version.valid_until,
        refused_at=version.refused_at,
        refused_text=version.refused_text,
        created_at=row.created_at,
        last_check=row.last_check,
    )


def _issuer(version: CredentialVersion) -> dict[str, Any]:
    issuer = version.issuer or {}
    shown = {"token_url": issuer.get("tokenUrl"), "client_id": issuer.get("clientId"), "scope": issuer.get("scope")}
    return {**shown, "token_ends_at": version.token_ends_at}


def _own(caller: Caller) -> Select[Connection]:
    return select(Connection).where(Connection.owner_id == caller.user_id, Connection.retired_at.is_(None))
