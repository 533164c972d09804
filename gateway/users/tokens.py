"""The texts of tokens: signed access tokens, and opaque ones of which only a hash is kept."""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from gateway import clock
from gateway.errors import Unauthenticated

ACCESS_LIFETIME = timedelta(hours=1)
REFRESH_LIFETIME = timedelta(days=30)
API_PREFIX = "mantik_pat_"
REFRESH_PREFIX = "mantik_rt_"
_ALGORITHM = "HS256"
_ISSUER = "mantik-gateway"


@dataclass(frozen=True, slots=True)
class Login:
    """What an access token says: whose it is, and the API token it was given for, if any."""

    user_id: uuid.UUID
    api_token_id: uuid.UUID | None = None


class AccessTokens:
    """Signs with the first key, accepts all."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def issue(self, user_id: uuid.UUID, api_token_id: uuid.UUID | None = None) -> tuple[str, datetime]:
        """A token and when it ends."""
        now = clock.now()
        ends = now + ACCESS_LIFETIME
        claims = {
            "iss": _ISSUER,
            "sub": str(user_id),
            "iat": int(now.timestamp()),
            "exp": int(ends.timestamp()),
            "jti": uuid.uuid4().hex,
        }
        if api_token_id is not None:
            claims["api_token"] = str(api_token_id)
        return jwt.encode(claims, self._keys[0], _ALGORITHM), ends.replace(microsecond=0)

    def login_of(self, token: str) -> Login:
        """Raises Unauthenticated; the text tells an ended token from a false one."""
        claims = next((c for key in self._keys if (c := _claims(token, key)) is not None), None)
        if claims is None:
            raise Unauthenticated("The access token is not valid.", next_step="Log in again.")
        if datetime.fromtimestamp(float(str(claims["exp"])), UTC) <= clock.now():
            raise Unauthenticated("The access token has expired.", next_step="Refresh it, or log in again.")
        given_for = claims.get("api_token")
        return Login(uuid.UUID(str(claims["sub"])), uuid.UUID(str(given_for)) if given_for else None)


def _claims(token: str, key: bytes) -> dict[str, object] | None:
    options = {"verify_exp": False, "verify_iat": False, "require": ["exp", "sub", "iss"]}
    try:
        claims: dict[str, object] = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            options=options,  # type: ignore[arg-type]  # expiry goes by our own clock, see user_of
        )
    except jwt.InvalidTokenError:
        return None
    return claims


def new_token(prefix: str) -> str:
    """256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Enough for 256 random bits: nothing to guess."""
    return hashlib.sha256(token.encode()).hexdigest()
