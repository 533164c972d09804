"""Tables of connections and the versions of their credentials."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class Connection(WithId, Base):
    """One user's credential for one site or one service. Its secret goes to that origin only."""

    __tablename__ = "connections"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    provider: Mapped[str]
    """SSH, Local, UNICORE, GitHub, GitLab, Git, ... (connectionProvider on the wire)."""
    auth_method: Mapped[str]
    """SSH-Key, Username-Password, Token, OIDC, None."""
    site_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("sites.id"), index=True)
    origin: Mapped[str | None]
    """scheme://host[:port] of a git or data service; None for a site."""
    login_name: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    """The current version of the credential."""
    last_check: Mapped[dict[str, Any] | None]
    """What the last check found (SiteInfo as JSON) or said, with its time."""
    retired_at: Mapped[datetime | None]
    """Dropped by its owner; live runs go on with it."""


class CredentialVersion(Base):
    __tablename__ = "credential_versions"
    connection_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    secret_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("secrets.id"))
    """A JSON document {secret, passphrase, certificate} in the vault; of OIDC: see `gateway.connections.tokens`.
    Each new token is a new secret, so that an update with this in its WHERE loses none that is newer."""
    issuer: Mapped[dict[str, Any] | None]
    """Of OIDC: {tokenUrl, clientId, scope}."""
    token_ends_at: Mapped[datetime | None]
    """Of OIDC: when the present access token ends."""
    preferences: Mapped[dict[str, Any] | None]
    """As whom to act on the site, e.g. {group: name}."""
    public_key: Mapped[str | None]
    """Shown to the owner when the gateway made the key."""
    valid_until: Mapped[datetime | None]
    refused_at: Mapped[datetime | None]
    """Set at the first refusal: no path uses this version again."""
    refused_text: Mapped[str | None]
