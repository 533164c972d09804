"""Removing the secrets of dropped connections as soon as nothing uses them."""

from uuid import UUID

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.audit.service import record
from gateway.connections.rows import Connection, CredentialVersion
from gateway.db.session import Database
from gateway.runs.rows import Run
from gateway.runs.states import LIVE
from gateway.secrets.vault import Vault
from gateway.tracking.rows import TrackingJournal


async def is_in_use(session: AsyncSession, connection_id: UUID) -> bool:
    """Whether a run of it is live, or still has something to fetch from the site."""
    tracked = select(TrackingJournal.run_id).where(
        TrackingJournal.run_id == Run.id, TrackingJournal.due_at.is_not(None)
    )
    waits = or_(Run.due_at.is_not(None), Run.lease_owner.is_not(None), tracked.exists())
    busy = and_(Run.deleted_at.is_(None), or_(Run.state.in_([str(s) for s in LIVE]), waits))
    statement = select(Run.id).where(Run.connection_id == connection_id, busy).limit(1)
    return (await session.scalars(statement)).one_or_none() is not None


async def forget_secrets(session: AsyncSession, vault: Vault, connection_id: UUID) -> int:
    """Remove the secrets of all versions; returns how many there were."""
    here = CredentialVersion.connection_id == connection_id
    found = await session.scalars(
        select(CredentialVersion.secret_id).where(here, CredentialVersion.secret_id.is_not(None))
    )
    secrets = [secret_id for secret_id in found if secret_id is not None]
    await session.execute(update(CredentialVersion).where(here).values(secret_id=None))
    for secret_id in secrets:
        await vault.remove(session, secret_id)
    return len(secrets)


async def sweep(db: Database, vault: Vault) -> int:
    """Remove the secrets of dropped connections whose last run has ended. Called by the engine now and then."""
    statement = (
        select(Connection.id)
        .join(CredentialVersion, CredentialVersion.connection_id == Connection.id)
        .where(Connection.retired_at.is_not(None), CredentialVersion.secret_id.is_not(None))
        .distinct()
    )
    removed = 0
    async with db.transaction() as session:
        for connection_id in list(await session.scalars(statement)):
            if not await is_in_use(session, connection_id):
                removed += await forget_secrets(session, vault, connection_id)
                record(session, None, "connection.forget", "connection", connection_id)
    return removed
