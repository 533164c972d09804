"""The renewal of a token that ends: asked once for all tasks and gateways, and stored before anybody uses it.

A refresh token may work once. So one gateway at a time asks, by a named lease; what it got replaces just the secret
that it was asked with; and neither a task that is cancelled nor a database that is away loses it.
"""

import asyncio
import uuid
from typing import TYPE_CHECKING

from sqlalchemy import update

from backends.errors import AuthenticationFailed, SiteUnavailable
from gateway.connections.issuers import Tokens
from gateway.connections.rows import CredentialVersion
from gateway.connections.tokens import TokenDocument
from gateway.db.lease import NamedLease, claim_named, release_named, want

if TYPE_CHECKING:
    from gateway.connections.credentials import Held, StoredCredentials

LEASE_SECONDS = 60.0
"""Longer than an issuer may take to answer."""
PAUSE_SECONDS = 0.2
WAITS = 200
"""So often is looked whether another gateway, which has the lease, is done."""


async def renewed_once(source: "StoredCredentials", stale: "Held") -> "Held":
    """What is held after the renewal of `stale`, by whomever. Who is cancelled meanwhile leaves it to go on.

    Raises AuthenticationFailed when the issuer refused, which is recorded; SiteUnavailable when it could not be asked.
    """
    return await source.issuers.once(stale.secret_id, lambda: _renewed(source, stale))


async def _renewed(source: "StoredCredentials", stale: "Held") -> "Held":
    name = f"token:{source.connection_id}"
    for _ in range(WAITS):
        held = await source.held()
        if held.secret_id != stale.secret_id:
            return held
        async with source.db.transaction() as session:
            await want(session, name, 0)
            taken = await claim_named(session, uuid.uuid4().hex, name, LEASE_SECONDS, 1)
        if taken:
            return await _under_lease(source, stale, taken[0])
        await asyncio.sleep(PAUSE_SECONDS)
    raise SiteUnavailable("Another gateway renews the token of this connection, and is not done. It is tried again.")


async def _under_lease(source: "StoredCredentials", stale: "Held", lease: NamedLease) -> "Held":
    try:
        held = await source.held()
        if held.secret_id == stale.secret_id:
            await _asked(source, held)
            held = await source.held()
        return held
    finally:
        async with source.db.transaction() as session:
            await release_named(session, lease, due_in=None)


async def _asked(source: "StoredCredentials", held: "Held") -> None:
    if held.token is None or held.renewal is None or held.secret_id is None:
        raise AssertionError("only a token is renewed")
    tokens = source.issuers.unstored.pop(held.secret_id, None)
    if tokens is None:
        try:
            tokens = await source.issuers.renew(held.renewal)
        except AuthenticationFailed as error:
            # A gateway that lost its lease may have traded the refresh token in meanwhile.
            if (await source.held()).secret_id == held.secret_id:
                await source.refused(held.credential, f"its issuer says: {error.text}")
                raise
            return
    try:
        await _store(source, held.secret_id, held.token.renewed(tokens), tokens)
    except BaseException:
        source.issuers.unstored[held.secret_id] = tokens
        raise


async def _store(source: "StoredCredentials", stale: uuid.UUID, document: TokenDocument, tokens: Tokens) -> None:
    """In place of `stale`, unless the owner or another gateway stored something newer."""
    async with source.db.transaction() as session:
        fresh = await source.vault.store(session, document.text())
        changed = await session.execute(
            update(CredentialVersion)
            .where(CredentialVersion.connection_id == source.connection_id, CredentialVersion.secret_id == stale)
            .values(secret_id=fresh, token_ends_at=tokens.ends_at)
            .returning(CredentialVersion.version)
        )
        await source.vault.remove(session, fresh if changed.one_or_none() is None else stale)
