"""What an operator may set: environment variables with the prefix MANTIK_, all with a default."""

from pathlib import Path
from typing import Annotated, Literal, Self

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway.errors import FieldProblem, InvalidInput

PREFIX = "MANTIK_"


def _split(value: object) -> object:
    """A list of an environment variable: separated by commas or white space."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """The settings of one gateway process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("mantik-gateway"),
        description="Directory of the embedded database, keys, logs and caches; made with mode 0700.",
    )
    database_url: str = Field(
        default="", description="SQLAlchemy URL of the database; empty: SQLite in the data directory."
    )
    database_pool: int = Field(default=10, ge=1, le=200, description="Connections kept to a database server.")
    host: str = Field(default="127.0.0.1", description="Address on which the gateway listens.")
    port: int = Field(default=8080, ge=1, le=65535, description="Port on which the gateway listens.")
    public_url: str = Field(
        default="", description="How users and jobs reach the gateway; empty: http://<host>:<port>."
    )
    allowed_hosts: Words = Field(
        default=(), description="Host names accepted in requests, separated by commas; empty: any."
    )
    trusted_proxies: Words = Field(
        default=(), description="Addresses of reverse proxies whose X-Forwarded-* headers are believed."
    )
    secret_keys: Secrets = Field(
        default=(),
        repr=False,
        description="Keys (32 bytes, URL-safe base64) that encrypt secrets, newest first, the others only decrypt; "
        "empty: a file in the data directory, made at the first start.",
    )
    max_body_bytes: int = Field(default=4 * 2**20, ge=1024, description="Largest request body of the API, in bytes.")
    max_log_bytes: int = Field(default=256 * 2**20, ge=2**16, description="Bytes of a run's log that are kept.")
    max_live_runs_per_user: int = Field(default=1000, ge=1, description="Runs of one user that have not ended.")
    max_live_runs_per_project: int = Field(default=2000, ge=1, description="Runs of one project that have not ended.")
    requests_per_minute: int = Field(
        default=1200, ge=1, description="API requests of one user, or of one address without a login, per minute."
    )
    tracking_uri: str = Field(
        default="", description="URL of an MLflow server; empty: one is started with the gateway."
    )
    tracking_timeout_seconds: float = Field(
        default=5.0, gt=0, le=120, description="How long a request waits for MLflow before it goes on without."
    )
    tracking_requests_per_minute: int = Field(
        default=6000,
        ge=1,
        description="Requests of one user, or of one run by its token, to the tracking server per minute.",
    )
    allowed_git_hosts: Words = Field(
        default=(),
        description="Git hosts that may be used, separated by commas, whatever their addresses; "
        "empty: any whose addresses are all public.",
    )
    allowed_token_hosts: Words = Field(
        default=(),
        description="Hosts of OIDC issuers that connections may name, separated by commas, whatever their addresses; "
        "empty: any whose addresses are all public.",
    )
    allowed_webhook_hosts: Words = Field(
        default=(),
        description="Hosts that notifications may be sent to as webhooks, separated by commas, whatever their "
        "addresses; a loopback address named here is taken with http as well. Empty: any whose addresses are all "
        "public, with https.",
    )
    smtp_host: str = Field(default="", description="Mail server for notifications; empty: none are sent as mail.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    smtp_security: Annotated[Literal["starttls", "tls", "none"], BeforeValidator(_lower)] = Field(
        default="starttls", description="How the mail server is spoken to: starttls, tls (from the first byte) or none."
    )
    smtp_user: str = Field(default="", description="Login at the mail server; empty: none.")
    smtp_password_file: Path | None = Field(
        default=None, description="File with the password of that login; read at each use."
    )
    mail_from: str = Field(default="", description="Sender of mail, e.g. mantik@example.org.")
    allowed_mail_domains: Words = Field(
        default=(), description="Domains that notifications may be mailed to, separated by commas; empty: any."
    )
    local_git_allowed: bool = Field(
        default=False, description="Whether code repositories may be paths on the gateway's machine."
    )
    git_known_hosts: Path | None = Field(
        default=None,
        description="File of the SSH host keys of git hosts, as ssh keeps them; others are refused. "
        "Empty: the key that a host shows first is kept, and another one later is refused.",
    )
    max_code_bytes: int = Field(
        default=2 * 2**30, ge=2**16, description="Largest code of a run before it is packed, in bytes."
    )
    max_cache_bytes: int = Field(
        default=20 * 2**30,
        ge=2**20,
        description="Bytes of git mirrors and packed code that are kept; what was not used for longest goes first, and "
        "what live runs need stays. No larger repository is taken.",
    )
    lease_seconds: float = Field(
        default=60.0,
        ge=2,
        le=3600,
        description="How long a gateway that fell silent keeps the runs it works on before another takes them over.",
    )
    missing_grace_seconds: float = Field(
        default=300.0,
        ge=0,
        le=86400,
        description="How long a site must not know a job before the gateway gives it up as LOST; twelve times as "
        "long while its accounting still calls the job live.",
    )
    preview_hours: float = Field(default=1.0, gt=0, le=168, description="How long a preview may be submitted.")
    local_open: bool = Field(
        default=False,
        description="Whether every user may run on this machine; otherwise only the admin of an embedded gateway.",
    )
    first_admin: str = Field(
        default="admin", min_length=1, max_length=200, description="Name of the first admin, made at the first start."
    )
    first_admin_password: SecretStr | None = Field(
        default=None, description="Password of the first admin; empty: one is made and printed once."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        default="info",
        description="Least severe lines that `mantik serve` writes to stderr: debug, info, warning or error. "
        "At debug also one line per request.",
    )
    graceful_stop_seconds: int = Field(
        default=10, ge=0, le=600, description="How long open requests may take to end when the gateway stops."
    )

    @field_validator("public_url", "tracking_uri")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: dict[str, object]) -> dict[str, object]:
        """An empty variable means the default."""
        return {k: v for k, v in values.items() if v != ""}

    @model_validator(mode="after")
    def _fill(self) -> Self:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'gateway.db'}")
        if not self.public_url:
            host = f"[{self.host}]" if ":" in self.host else self.host
            object.__setattr__(self, "public_url", f"http://{host}:{self.port}")
        return self

    @model_validator(mode="after")
    def _mail(self) -> Self:
        if self.smtp_host and "@" not in self.mail_from:
            raise ValueError("MANTIK_MAIL_FROM: give the sender of mail, e.g. mantik@example.org.")
        if self.smtp_user and self.smtp_password_file is None:
            raise ValueError("MANTIK_SMTP_PASSWORD_FILE: give the file with the password of MANTIK_SMTP_USER.")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("MANTIK_SMTP_SECURITY: a password goes over TLS only; set starttls or tls.")
        return self

    @property
    def embedded(self) -> bool:
        """One process with its own SQLite database."""
        return self.database_url.startswith("sqlite")


def load(**overrides: object) -> Settings:
    """Settings of the environment; raises InvalidInput that names the variable."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        problems = [
            FieldProblem(PREFIX + str(e["loc"][0]).upper() if e["loc"] else "", e["msg"].removeprefix("Value error, "))
            for e in error.errors(include_input=False)
        ]
        raise InvalidInput("A setting of the gateway is not valid.", problems=problems) from None
