"""Credentials that end within a day."""

from datetime import timedelta

from sqlalchemy import and_, select

from gateway import clock
from gateway.connections.rows import Connection, CredentialVersion
from gateway.db.session import Database
from gateway.subscriptions.rows import Subscription
from gateway.subscriptions.telling import Happening, one_line, tell
from gateway.subscriptions.words import EventName

SOON = timedelta(days=1)


async def sweep(db: Database) -> int:
    """Tell owners who asked for it, once for each end; how many deliveries that made. Repeatable. Of a login that the
    gateway renews by itself only the end that its owner gave is one."""
    now = clock.now()
    version = and_(CredentialVersion.connection_id == Connection.id, CredentialVersion.version == Connection.version)
    asked = select(Subscription.user_id).where(Subscription.enabled, Subscription.project_id.is_(None))
    ending = (
        select(Connection.id, Connection.name, Connection.owner_id, Connection.version, CredentialVersion.valid_until)
        .join(CredentialVersion, version)
        .where(
            CredentialVersion.valid_until > now,
            CredentialVersion.valid_until <= now + SOON,
            Connection.retired_at.is_(None),
            Connection.owner_id.in_(asked),
        )
    )
    async with db.reading() as session:
        rows = (await session.execute(ending)).all()
    happenings = [
        Happening(
            EventName.CREDENTIAL_ENDING,
            f"ends:{row.id}:{row.version}:{row.valid_until.isoformat()}",
            now,
            f"The credential of connection {one_line(row.name)} ends on {row.valid_until:%Y-%m-%d at %H:%M} UTC.",
            row.owner_id,
            connection_id=row.id,
        )
        for row in rows
    ]
    if not happenings:
        return 0
    async with db.transaction() as session:
        return await tell(session, happenings)
