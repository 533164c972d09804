"""The credential of one connection, as a backend takes it: read fresh each time, refused once for all."""

import json
import uuid
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.errors import AuthenticationFailed
from backends.spec import Credential
from gateway import clock
from gateway.audit.service import record
from gateway.connections.rows import Connection, CredentialVersion
from gateway.db.session import Database
from gateway.secrets.vault import Vault

Method = Literal["ssh-key", "password", "token", "none"]
METHODS: dict[str, Method] = {
    "SSH-Key": "ssh-key",
    "Username-Password": "password",
    "Token": "token",
    "None": "none",
}


class StoredCredentials:
    """A `backends.backend.CredentialSource` over the vault."""

    def __init__(self, db: Database, vault: Vault, connection_id: uuid.UUID, *, owner_asks: bool = False) -> None:
        """`owner_asks`: the owner wants this try, so an earlier refusal does not stop it."""
        self._db = db
        self._vault = vault
        self._connection_id = connection_id
        self._owner_asks = owner_asks

    async def get(self) -> Credential:
        """The current version. Raises AuthenticationFailed when it was refused before, has ended or is gone."""
        async with self._db.reading() as session:
            connection, version = await self._current(session)
            if version.refused_at is not None and not self._owner_asks:
                raise AuthenticationFailed(
                    f"Connection {connection.name}: the site refused this credential on {version.refused_at:%Y-%m-%d}; "
                    "give a new one to go on.",
                    text=version.refused_text or "",
                )
            if version.valid_until is not None and version.valid_until <= clock.now():
                raise AuthenticationFailed(
                    f"Connection {connection.name}: the credential ended on {version.valid_until:%Y-%m-%d %H:%M} UTC; "
                    "give a new one to go on."
                )
            return await self._credential(session, connection, version)

    async def refused(self, credential: Credential, text: str) -> None:
        """Mark this version only, once; a newer version is not touched."""
        async with self._db.transaction() as session:
            marked = await session.execute(
                update(CredentialVersion)
                .where(
                    CredentialVersion.connection_id == self._connection_id,
                    CredentialVersion.version == credential.version,
                    CredentialVersion.refused_at.is_(None),
                )
                .values(refused_at=clock.now(), refused_text=text[:2000])
                .returning(CredentialVersion.version)
            )
            if marked.one_or_none() is not None:
                record(
                    session, None, "credential.refused", "connection", self._connection_id, version=credential.version
                )

    async def _current(self, session: AsyncSession) -> tuple[Connection, CredentialVersion]:
        found = await session.execute(
            select(Connection, CredentialVersion)
            .join(CredentialVersion, CredentialVersion.connection_id == Connection.id)
            .where(Connection.id == self._connection_id, CredentialVersion.version == Connection.version)
        )
        row = found.one_or_none()
        if row is None:
            raise AuthenticationFailed("The connection has no credential; give one to go on.")
        return row[0], row[1]

    async def _credential(
        self, session: AsyncSession, connection: Connection, version: CredentialVersion
    ) -> Credential:
        method = METHODS[connection.auth_method]
        if version.secret_id is None:
            if method != "none":
                raise AuthenticationFailed(f"Connection {connection.name} was dropped; its credential is gone.")
            return Credential(version.version, method, connection.login_name)
        document = json.loads(await self._vault.open(session, version.secret_id))
        return Credential(
            version.version,
            method,
            connection.login_name,
            secret=document.get("secret"),
            passphrase=document.get("passphrase"),
            certificate=document.get("certificate"),
        )
