"""The credential of one connection, as a backend takes it: read fresh each time, refused once for all."""

import json
import uuid
from dataclasses import dataclass, field

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.errors import AuthenticationFailed, SiteUnavailable
from backends.spec import Credential, Method
from gateway import clock
from gateway.audit.service import record
from gateway.connections.issuers import Renewal, TokenIssuers
from gateway.connections.renewal import renewed_once
from gateway.connections.rows import Connection, CredentialVersion
from gateway.connections.tokens import TokenDocument
from gateway.db.session import Database
from gateway.secrets.rows import Secret
from gateway.secrets.vault import Vault

LOGINS_MEANWHILE = 3
"""So often may the owner log in anew while a token is asked for with the login before."""
METHODS: dict[str, Method] = {
    "SSH-Key": "ssh-key",
    "Username-Password": "password",
    "Token": "token",
    "OIDC": "oidc",
    "None": "none",
}


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored now."""

    credential: Credential
    secret_id: uuid.UUID | None
    token: TokenDocument | None = field(default=None, repr=False)
    renewal: Renewal | None = None
    """Both of OIDC only."""


class StoredCredentials:
    """A `backends.backend.CredentialSource` and `RenewingSource` over the vault."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        connection_id: uuid.UUID,
        *,
        owner_asks: bool = False,
        issuers: TokenIssuers | None = None,
    ) -> None:
        """`owner_asks`: the owner wants this try, so an earlier refusal does not stop it. `issuers`: those that may be
        asked for tokens; one for a process, so that it asks once."""
        self.db = db
        self.vault = vault
        self.connection_id = connection_id
        self._owner_asks = owner_asks
        self.issuers = issuers or TokenIssuers()

    async def get(self) -> Credential:
        """The current version, its token renewed where it ends soon.

        Raises AuthenticationFailed when it was refused before, has ended or is gone, or its issuer does not renew it;
        SiteUnavailable when the issuer could not be asked and the token has ended."""
        held = await self.held()
        for _ in range(LOGINS_MEANWHILE):
            token = held.token
            if token is None or token.is_fresh:
                return held.credential
            try:
                held = await renewed_once(self, held)
            except SiteUnavailable:
                if token.is_usable:
                    return held.credential
                raise
        return held.credential

    async def renew(self, credential: Credential) -> Credential:
        held = await self.held()
        if held.token is None or held.token.is_just_issued or held.credential.secret != credential.secret:
            return held.credential
        return (await renewed_once(self, held)).credential

    async def refused(self, credential: Credential, text: str) -> None:
        """Mark this version only, once; a newer version is not touched."""
        async with self.db.transaction() as session:
            marked = await session.execute(
                update(CredentialVersion)
                .where(
                    CredentialVersion.connection_id == self.connection_id,
                    CredentialVersion.version == credential.version,
                    CredentialVersion.refused_at.is_(None),
                )
                .values(refused_at=clock.now(), refused_text=text[:2000])
                .returning(CredentialVersion.version)
            )
            if marked.one_or_none() is not None:
                record(
                    session, None, "credential.refused", "connection", self.connection_id, version=credential.version
                )

    async def held(self) -> Held:
        """As it is stored now. Raises AuthenticationFailed when it may not be used."""
        async with self.db.reading() as session:
            connection, version, kept = await self._current(session)
            if version.refused_at is not None and not self._owner_asks:
                raise AuthenticationFailed(_refusal(connection, version), text=version.refused_text or "")
            if version.valid_until is not None and version.valid_until <= clock.now():
                raise AuthenticationFailed(
                    f"Connection {connection.name}: the credential ended on {version.valid_until:%Y-%m-%d %H:%M} UTC; "
                    "give a new one to go on."
                )
            return await self._held(session, connection, version, kept)

    async def _current(self, session: AsyncSession) -> tuple[Connection, CredentialVersion, Secret | None]:
        found = await session.execute(
            # In one statement: another gateway may put a newer secret in the place of this one at any time.
            select(Connection, CredentialVersion, Secret)
            .join(CredentialVersion, CredentialVersion.connection_id == Connection.id)
            .outerjoin(Secret, Secret.id == CredentialVersion.secret_id)
            .where(Connection.id == self.connection_id, CredentialVersion.version == Connection.version)
        )
        row = found.one_or_none()
        if row is None:
            raise AuthenticationFailed("The connection has no credential; give one to go on.")
        return row[0], row[1], row[2]

    async def _held(
        self, session: AsyncSession, connection: Connection, version: CredentialVersion, kept: Secret | None
    ) -> Held:
        method = METHODS[connection.auth_method]
        preferences = dict(version.preferences or {})
        bare = Credential(version.version, method, connection.login_name, preferences=preferences)
        if kept is None:
            if method != "none":
                raise AuthenticationFailed(f"Connection {connection.name} was dropped; its credential is gone.")
            return Held(bare, None)
        text = await self.vault.open(session, kept.id)
        if method == "oidc":
            return _held_token(bare, version, TokenDocument.parse(text))
        document = json.loads(text)
        parts = {name: document.get(name) for name in ("secret", "passphrase", "certificate")}
        return Held(Credential(bare.version, method, bare.login_name, preferences=preferences, **parts), kept.id)


def _held_token(bare: Credential, version: CredentialVersion, token: TokenDocument) -> Held:
    issuer = version.issuer or {}
    renewal = Renewal(
        issuer["tokenUrl"], issuer["clientId"], token.refresh_token, token.client_secret, issuer.get("scope")
    )
    credential = Credential(
        bare.version,
        bare.method,
        bare.login_name,
        secret=token.secret,
        expires_at=token.ends_at,
        preferences=bare.preferences,
    )
    return Held(credential, version.secret_id, token, renewal)


def _refusal(connection: Connection, version: CredentialVersion) -> str:
    text = " ".join((version.refused_text or "").split())[:300]
    if text.startswith("preferences"):
        return f"Connection {connection.name}: {text}"
    why = f" ({text.rstrip('.')})" if text else ""
    return (
        f"Connection {connection.name}: this credential was refused on {version.refused_at:%Y-%m-%d}{why}; "
        "give a new one to go on."
    )
