"""Where the gateway is, and as whom we log in: arguments first, then the environment."""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.errors import InvalidInput

_STEP = "Set it to the address of your gateway, e.g. export MANTIK_API_URL=https://host/api/v1"


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, as far as known; without a password only a stored login helps."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


def api_url(given: str | None = None) -> str:
    """The base of all calls, without a slash at its end. Raises InvalidInput."""
    url = (given if given is not None else os.environ.get("MANTIK_API_URL", "")).strip().rstrip("/")
    if not url:
        raise InvalidInput("MANTIK_API_URL is not set.", next_step=_STEP)
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises for a port that is none
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("MANTIK_API_URL is not an http(s) address.", next_step=_STEP)
    if parts.username or parts.password:
        raise InvalidInput(
            "MANTIK_API_URL must not hold a user name or password.",
            next_step="Set MANTIK_USERNAME and MANTIK_PASSWORD, or run mantik login.",
        )
    return url


def tracking_uri(api_url: str) -> str | None:
    """Where an MLflow client finds the gateway's experiments; None for an address that does not end in /api/v1."""
    base = api_url.removesuffix("/api/v1")
    return f"{base}/tracking/" if base != api_url else None


def login(username: str | None = None, password: str | None = None) -> Login:
    """The login of the arguments, else that of MANTIK_USERNAME and MANTIK_PASSWORD."""
    if username is not None or password is not None:
        return Login(username, password)
    return Login(os.environ.get("MANTIK_USERNAME") or None, os.environ.get("MANTIK_PASSWORD") or None)
