"""Connections: made, given a new credential, dropped, by their owner only."""

import asyncio
import json
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record
from gateway.connections.retirement import forget_secrets, is_in_use
from gateway.connections.rows import Connection, CredentialVersion
from gateway.connections.secret import Given, NewSecret, new_secret
from gateway.connections.views import own_row, view
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.repositories.uri import origin_of
from gateway.runs.service import due_soon
from gateway.schemas.sites import ConnectionView, CreateConnection, UpdateCredential
from gateway.secrets.vault import Vault
from gateway.settings import Settings
from gateway.sites.rows import Site
from gateway.users.access import require_self
from gateway.users.caller import Caller


async def create(
    db: Database, vault: Vault, settings: Settings, caller: Caller, user_id: UUID, body: CreateConnection
) -> ConnectionView:
    """Store it with the first version of its credential; for SSH without a key, make one and show the public part."""
    require_self(caller, user_id)
    if (body.site_id is None) == (body.origin is None):
        raise InvalidInput("siteId: give either the site, or the origin of a git or data service.")
    comment = f"mantik-{caller.name}-{body.connection_name}"
    secret = await asyncio.to_thread(new_secret, body.auth_method, body, login_name=body.login_name, comment=comment)
    origin = _origin(body) if body.origin is not None else None
    try:
        async with db.transaction() as session:
            await _check_site(session, settings, caller, body)
            row = Connection(owner_id=caller.user_id, origin=origin, version=1, **_columns(body))
            session.add(row)
            await session.flush()
            await _add_version(session, vault, row, body, secret)
            target = origin or str(body.site_id)
            record(session, caller, "connection.create", "connection", row.id, name=row.name, target=target)
            return await view(session, caller, row)
    except IntegrityError:
        raise Conflict(
            f"connectionName: you have a connection {body.connection_name!r} already; choose another name."
        ) from None


async def renew(
    db: Database, vault: Vault, caller: Caller, user_id: UUID, connection_id: UUID, body: UpdateCredential
) -> ConnectionView:
    """A new version of the credential, used from now on by live runs too; a refusal of the old one is history."""
    require_self(caller, user_id)
    async with db.reading() as session:
        row = await own_row(session, caller, connection_id)
    login_name = body.login_name or row.login_name
    comment = f"mantik-{caller.name}-{row.name}"
    secret = await asyncio.to_thread(new_secret, row.auth_method, body, login_name=login_name, comment=comment)
    async with db.transaction() as session:
        row = await own_row(session, caller, connection_id)
        await forget_secrets(session, vault, row.id)
        row.version, row.login_name, row.last_check = row.version + 1, login_name, None
        await _add_version(session, vault, row, body, secret)
        await due_soon(session, row.id)
        record(session, caller, "credential.renew", "connection", row.id, version=row.version)
        return await view(session, caller, row)


async def retire(db: Database, vault: Vault, caller: Caller, user_id: UUID, connection_id: UUID) -> None:
    """Drop it. Live runs go on with it; its secret is removed when the last of them has ended."""
    require_self(caller, user_id)
    async with db.transaction() as session:
        row = await own_row(session, caller, connection_id)
        row.retired_at = clock.now()
        record(session, caller, "connection.retire", "connection", row.id, name=row.name)
        row.name = f"{row.name} (dropped, {row.id.hex})"
        if not await is_in_use(session, row.id):
            await forget_secrets(session, vault, row.id)


async def _check_site(session: AsyncSession, settings: Settings, caller: Caller, body: CreateConnection) -> None:
    if body.site_id is None:
        return
    site = await session.get(Site, body.site_id)
    if site is None:
        raise NotFound("siteId: there is no such site; see GET /sites.")
    if (site.kind == "local") != (body.auth_method == "None"):
        fitting = "None" if site.kind == "local" else "SSH-Key, Username-Password or Token"
        raise InvalidInput(f"authMethod: site {site.name} takes {fitting}.")
    if site.kind == "local" and not (settings.local_open or (caller.is_admin and settings.embedded)):
        raise Forbidden(
            "siteId: only the admin of an embedded gateway may run on this machine.",
            next_step="Choose another site, or ask your operator.",
        )


def _origin(body: CreateConnection) -> str:
    origin = origin_of(body.origin or "")
    if origin.startswith("ssh:") != (body.auth_method == "SSH-Key"):
        raise InvalidInput("authMethod: ssh:// takes SSH-Key; https:// takes Token, Username-Password or None.")
    return origin


async def _add_version(session: AsyncSession, vault: Vault, row: Connection, given: Given, secret: NewSecret) -> None:
    document = json.dumps(secret.document) if secret.document is not None else None
    session.add(
        CredentialVersion(
            connection_id=row.id,
            version=row.version,
            created_at=clock.now(),
            secret_id=await vault.store(session, document) if document is not None else None,
            public_key=secret.public_key,
            valid_until=given.valid_until,
        )
    )
    await session.flush()


def _columns(body: CreateConnection) -> dict[str, object]:
    return {
        "name": body.connection_name,
        "provider": body.connection_provider,
        "auth_method": body.auth_method,
        "site_id": body.site_id,
        "login_name": body.login_name,
    }
