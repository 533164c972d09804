"""Messages that a UNICORE server posts when a job changes: whether they are its own.

The server signs a JWT with the key of its certificate, names itself as `iss` and the job's owner as `sub`, and lets it
end after five minutes. The message itself is not signed, and any user of the site can have a JWT of the server: so a
message is a hint, about a job of the user it names.
https://unicore-docs.readthedocs.io/en/latest/user-docs/rest-api/job-description/index.html
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.types import Options

from backends.errors import JobNotFound
from backends.unicore.answers import ServerError
from backends.unicore.transport import Channel

CERTIFICATE = "/certificate"
RSA, ELLIPTIC = ["RS256", "RS384", "RS512"], ["ES256", "ES384", "ES512"]
KEY_AGAIN = timedelta(minutes=10)
"""How often at most the server is asked for its key: it may have a new one."""
SKEW = timedelta(minutes=5)
LONGEST = 64 << 10
Key = RSAPublicKey | EllipticCurvePublicKey
_BY_THE_SITES_CLOCK: Options = {
    "require": ["exp", "sub"],
    "verify_exp": False,  # compared below: our clock may be wrong
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


class Notifications:
    """Of one connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._key: Key | None = None
        self._asked_at: datetime | None = None

    async def genuine(self, job: str, authorization: str, body: bytes) -> bool:
        """Whether the server signed it for our user, and it is about this job. Errors as of `Channel`."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or len(authorization) + len(body) > LONGEST or _job(body) != job:
            return False
        if await self._signed(token):
            return True
        return await self._ask_again() and await self._signed(token)

    async def _signed(self, token: str) -> bool:
        if self._key is None:
            return False
        algorithms = RSA if isinstance(self._key, RSAPublicKey) else ELLIPTIC
        try:
            claims = jwt.decode(token, self._key, algorithms, options=_BY_THE_SITES_CLOCK)
            ends = datetime.fromtimestamp(float(claims["exp"]), UTC)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
            return False
        return ends + SKEW > self._channel.now and claims["sub"] == await self._channel.user()

    async def _ask_again(self) -> bool:
        """Ask the server for its key, unless that was done a moment ago; True when it gave one."""
        now = self._channel.now
        if self._asked_at is not None and now - self._asked_at < KEY_AGAIN:
            return False
        self._asked_at = now
        try:
            self._key = _key(await self._channel.text(CERTIFICATE))
        except (JobNotFound, ServerError):
            self._key = None
        return self._key is not None


def _job(body: bytes) -> str | None:
    """The job it is about: the last word of its address, whatever name the server goes by."""
    try:
        message: Any = json.loads(body)
        return str(message["href"]).rstrip("/").rpartition("/")[2]
    except (ValueError, KeyError, TypeError):
        return None


def _key(pem: str) -> Key | None:
    try:
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    except ValueError:
        return None
    return key if isinstance(key, Key) else None
