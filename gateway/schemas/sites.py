"""Sites (the operator's) and connections (a user's own)."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from gateway.schemas.users import UserView
from gateway.schemas.wire import Body, Wire


class CreateSite(Body):
    """What an operator says once for all users of a site; PUT replaces it whole."""

    name: str = Field(min_length=1, max_length=200)
    kind: str = Field(min_length=1, max_length=40)
    host: str | None = Field(default=None, max_length=300)
    port: int | None = Field(default=None, ge=1, le=65535)
    url: str | None = Field(default=None, max_length=2000)
    host_keys: list[str] = Field(default=[], max_length=50)
    jump: str | None = Field(default=None, max_length=300)
    tls_ca: str | None = None
    verify_tls: bool = True
    work_directory: str = Field(default="$HOME/mantik", min_length=1, max_length=1000)
    compute_nodes_reach_gateway: Literal["direct", "proxy", "no"] = "direct"
    tracking: Literal["local", "direct"] = "local"
    raw_jobs_allowed: bool = True
    whole_nodes_charged: bool = False
    poll_seconds_min: float = Field(default=2.0, gt=0, le=3600)
    poll_seconds_max: float = Field(default=60.0, gt=0, le=86400)
    lost_after_days: int = Field(default=14, ge=1, le=365)
    limits: dict[str, Any] = Field(default={})
    options: dict[str, Any] = Field(default={})
    paused: bool = False
    """While it is paused the gateway does not log in there; jobs go on."""


class SiteView(Wire):
    site_id: UUID
    name: str
    kind: str
    host: str | None
    port: int | None
    url: str | None
    host_keys: list[str]
    jump: str | None
    tls_ca: str | None
    verify_tls: bool
    work_directory: str
    compute_nodes_reach_gateway: str
    tracking: str = "direct"
    """As gateways are that do not say it."""
    raw_jobs_allowed: bool
    whole_nodes_charged: bool
    poll_seconds_min: float
    poll_seconds_max: float
    lost_after_days: int
    limits: dict[str, Any]
    options: dict[str, Any]
    paused: bool = False
    created_at: datetime


class ScannedHostKeys(Wire):
    """What the host shows now; an operator compares the fingerprints before they are confirmed."""

    host: str
    port: int
    keys: list[str]
    fingerprints: list[str]


class CreateConnection(Body):
    """Of a site (`siteId`) or of a git or data service (`origin`). For SSH without `privateKey` and `password`
    the gateway makes a key pair and shows the public key."""

    connection_name: str = Field(min_length=1, max_length=200)
    connection_provider: str = Field(min_length=1, max_length=40)
    auth_method: Literal["SSH-Key", "Username-Password", "Token", "OIDC", "None"]
    site_id: UUID | None = None
    origin: str | None = Field(default=None, max_length=2000)
    login_name: str | None = Field(default=None, max_length=200)
    password: str | None = Field(default=None, max_length=10_000, repr=False)
    token: str | None = Field(default=None, max_length=100_000, repr=False)
    private_key: str | None = Field(default=None, max_length=16_384, repr=False)
    passphrase: str | None = Field(default=None, max_length=10_000, repr=False)
    certificate: str | None = Field(default=None, max_length=100_000)
    refresh_token: str | None = Field(default=None, max_length=100_000, repr=False)
    token_url: str | None = Field(default=None, max_length=2000)
    issuer: str | None = Field(default=None, max_length=2000)
    """The gateway asks it where its token endpoint is, instead of `tokenUrl`."""
    client_id: str | None = Field(default=None, max_length=300)
    client_secret: str | None = Field(default=None, max_length=10_000, repr=False)
    scope: str | None = Field(default=None, max_length=1000)
    preferences: dict[str, str] | None = Field(default=None, max_length=20)
    """As whom you act on the site where it offers you several, e.g. {"group": "project1"}."""
    valid_until: datetime | None = None


class UpdateCredential(Body):
    """A new version of the credential; what is not given stays empty. Of OIDC only `refreshToken` is needed: issuer and
    client stay as they were, and the client's secret with them."""

    login_name: str | None = Field(default=None, max_length=200)
    password: str | None = Field(default=None, max_length=10_000, repr=False)
    token: str | None = Field(default=None, max_length=100_000, repr=False)
    private_key: str | None = Field(default=None, max_length=16_384, repr=False)
    passphrase: str | None = Field(default=None, max_length=10_000, repr=False)
    certificate: str | None = Field(default=None, max_length=100_000)
    refresh_token: str | None = Field(default=None, max_length=100_000, repr=False)
    token_url: str | None = Field(default=None, max_length=2000)
    issuer: str | None = Field(default=None, max_length=2000)
    """The gateway asks it where its token endpoint is, instead of `tokenUrl`."""
    client_id: str | None = Field(default=None, max_length=300)
    client_secret: str | None = Field(default=None, max_length=10_000, repr=False)
    scope: str | None = Field(default=None, max_length=1000)
    valid_until: datetime | None = None


class ChangeConnection(Body):
    """All that is not part of the credential; PUT replaces it whole."""

    connection_name: str = Field(min_length=1, max_length=200)
    preferences: dict[str, str] = Field(default={}, max_length=20)
    valid_until: datetime | None = None


class ConnectionView(Wire):
    """Never a secret: the published fields `password` and `token` are always null, `detail` says why."""

    connection_id: UUID
    user: UserView
    connection_name: str
    connection_provider: str
    auth_method: str
    site_id: UUID | None
    site_name: str | None
    certificate_checked: bool = True
    """False when the site's certificate is not verified: others on the way may read and change all."""
    origin: str | None
    login_name: str | None
    password: None = None
    token: None = None
    detail: str = "Secrets are never shown."
    version: int
    public_key: str | None
    token_url: str | None = None
    client_id: str | None = None
    scope: str | None = None
    token_ends_at: datetime | None = None
    """Of OIDC: when the present access token ends. The gateway renews it before that."""
    preferences: dict[str, str] = Field(default={})
    valid_until: datetime | None
    refused_at: datetime | None
    """Set when the site or the issuer refused this version: give a new credential to go on."""
    refused_text: str | None = None
    """In their words."""
    created_at: datetime
    last_check: dict[str, Any] | None
