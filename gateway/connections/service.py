"""Connections: made, given a new credential, dropped, by their owner only."""

import asyncio
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record
from gateway.connections.issuers import TokenIssuers
from gateway.connections.retirement import forget_secrets, is_in_use
from gateway.connections.rows import Connection, CredentialVersion
from gateway.connections.rules import SiteRules, rules_of
from gateway.connections.secret import (
    Given,
    NewSecret,
    keep_client_secret,
    new_secret,
    valid_until_problems,
    with_issuer,
)
from gateway.connections.views import own_row, view
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.repositories.uri import origin_of
from gateway.runs.service import due_soon
from gateway.schemas.sites import ChangeConnection, ConnectionView, CreateConnection, UpdateCredential
from gateway.secrets.vault import Vault
from gateway.settings import Settings
from gateway.sites.rows import Site
from gateway.users.access import require_self
from gateway.users.caller import Caller


async def create(
    db: Database,
    vault: Vault,
    settings: Settings,
    issuers: TokenIssuers,
    caller: Caller,
    user_id: UUID,
    body: CreateConnection,
) -> ConnectionView:
    """Store it with the first version of its credential; for SSH without a key, make one and show the public part."""
    require_self(caller, user_id)
    if (body.site_id is None) == (body.origin is None):
        raise InvalidInput("siteId: give either the site, or the origin of a git or data service.")
    comment = f"mantik-{caller.name}-{body.connection_name}"
    secret = await asyncio.to_thread(new_secret, body.auth_method, body, login_name=body.login_name, comment=comment)
    origin = _origin(body) if body.origin is not None else None
    async with db.reading() as session:
        await _check_site(session, settings, caller, body)
    if body.auth_method == "OIDC":
        secret = await with_issuer(secret, body, issuers)
    try:
        async with db.transaction() as session:
            await _check_site(session, settings, caller, body)
            row = Connection(owner_id=caller.user_id, origin=origin, version=1, **_columns(body))
            session.add(row)
            await session.flush()
            version = await _add_version(session, vault, row, body, secret)
            version.preferences = body.preferences or None
            target = origin or str(body.site_id)
            record(session, caller, "connection.create", "connection", row.id, name=row.name, target=target)
            return await view(session, caller, row)
    except IntegrityError:
        raise _taken(body.connection_name) from None


async def change(
    db: Database, vault: Vault, caller: Caller, user_id: UUID, connection_id: UUID, body: ChangeConnection
) -> ConnectionView:
    """Replace all that is not part of the credential. Other preferences are a new version with the same secret: a
    refusal of the old ones is history, and what waits goes on with the new ones."""
    require_self(caller, user_id)
    problems = valid_until_problems(body.valid_until)
    if problems:
        raise InvalidInput("The connection is not valid.", problems=problems)
    try:
        async with db.transaction() as session:
            row = await own_row(session, caller, connection_id)
            version = await session.get_one(CredentialVersion, (row.id, row.version))
            row.name = body.connection_name
            if body.preferences != (version.preferences or {}):
                version = await _with_preferences(session, row, version, body.preferences)
            version.valid_until = body.valid_until
            record(session, caller, "connection.change", "connection", row.id, name=row.name, version=row.version)
            await session.flush()
            return await view(session, caller, row)
    except IntegrityError:
        raise _taken(body.connection_name) from None


async def _with_preferences(
    session: AsyncSession, row: Connection, before: CredentialVersion, preferences: dict[str, str]
) -> CredentialVersion:
    rules, site = await _rules(session, row.site_id)
    rules.check_preferences(site, preferences)
    if preferences.get("uid") != (before.preferences or {}).get("uid") and await is_in_use(session, row.id):
        raise Conflict(
            "preferences.uid: runs of this connection are not done, and another user cannot reach their files.",
            next_step="Wait for them, or make another connection.",
        )
    row.version, row.last_check = row.version + 1, None
    version = CredentialVersion(
        connection_id=row.id,
        version=row.version,
        created_at=clock.now(),
        secret_id=before.secret_id,
        public_key=before.public_key,
        issuer=before.issuer,
        token_ends_at=before.token_ends_at,
        preferences=preferences or None,
    )
    before.secret_id = None
    session.add(version)
    await session.flush()
    await due_soon(session, row.id)
    return version


async def renew(
    db: Database,
    vault: Vault,
    issuers: TokenIssuers,
    caller: Caller,
    user_id: UUID,
    connection_id: UUID,
    body: UpdateCredential,
) -> ConnectionView:
    """A new version of the credential, used from now on by live runs too; a refusal of the old one is history."""
    require_self(caller, user_id)
    async with db.reading() as session:
        row = await own_row(session, caller, connection_id)
        before = await session.get_one(CredentialVersion, (row.id, row.version))
    login_name = body.login_name or row.login_name
    comment = f"mantik-{caller.name}-{row.name}"
    secret = await asyncio.to_thread(new_secret, row.auth_method, body, login_name=login_name, comment=comment)
    if row.auth_method == "OIDC":
        secret = await with_issuer(secret, body, issuers, before.issuer)
    async with db.transaction() as session:
        row = await own_row(session, caller, connection_id)
        before = await session.get_one(CredentialVersion, (row.id, row.version), populate_existing=True)
        if secret.issuer is not None and before.secret_id is not None and _same_client(secret, before):
            secret = keep_client_secret(secret, await vault.open(session, before.secret_id))
        await forget_secrets(session, vault, row.id)
        row.version, row.login_name, row.last_check = row.version + 1, login_name, None
        version = await _add_version(session, vault, row, body, secret)
        version.preferences = before.preferences
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
    rules = rules_of(site.kind)
    rules.check_method(site.name, body.auth_method)
    rules.check_preferences(site.name, body.preferences or {})
    if site.kind == "local" and not (settings.local_open or (caller.is_admin and settings.embedded)):
        raise Forbidden(
            "siteId: only the admin of an embedded gateway may run on this machine.",
            next_step="Choose another site, or ask your operator.",
        )


def _origin(body: CreateConnection) -> str:
    origin = origin_of(body.origin or "")
    if body.preferences:
        raise InvalidInput("preferences: they belong to a site; leave them out.")
    if body.auth_method == "OIDC":
        raise InvalidInput("authMethod: OIDC is for sites; a git or data service takes Token or Username-Password.")
    if origin.startswith("ssh:") != (body.auth_method == "SSH-Key"):
        raise InvalidInput("authMethod: ssh:// takes SSH-Key; https:// takes Token, Username-Password or None.")
    return origin


async def _rules(session: AsyncSession, site_id: UUID | None) -> tuple[SiteRules, str]:
    """Of the site, with its name; a git or data service takes nothing."""
    site = await session.get(Site, site_id) if site_id is not None else None
    if site is None:
        raise InvalidInput("preferences: they belong to a site; leave them out.")
    return rules_of(site.kind), site.name


def _same_client(secret: NewSecret, before: CredentialVersion) -> bool:
    """A client's secret goes to its own issuer only."""
    now, then = secret.issuer or {}, before.issuer or {}
    return all(now.get(name) == then.get(name) for name in ("tokenUrl", "clientId"))


def _taken(name: str) -> Conflict:
    return Conflict(f"connectionName: you have a connection {name!r} already; choose another name.")


async def _add_version(
    session: AsyncSession, vault: Vault, row: Connection, given: Given, secret: NewSecret
) -> CredentialVersion:
    version = CredentialVersion(
        connection_id=row.id,
        version=row.version,
        created_at=clock.now(),
        secret_id=await vault.store(session, secret.document) if secret.document is not None else None,
        public_key=secret.public_key,
        issuer=secret.issuer,
        valid_until=given.valid_until,
    )
    session.add(version)
    await session.flush()
    return version


def _columns(body: CreateConnection) -> dict[str, object]:
    return {
        "name": body.connection_name,
        "provider": body.connection_provider,
        "auth_method": body.auth_method,
        "site_id": body.site_id,
        "login_name": body.login_name,
    }
