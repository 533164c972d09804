"""Credentials as UNICORE takes them: the header that shows who we are, and the one that says as whom we act."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from pyunicore.credentials import Anonymous, BasicToken, BearerToken, UsernamePassword
from pyunicore.credentials import Credential as Header

from backends.errors import AuthenticationFailed
from backends.spec import Credential

SIGNED_FOR = timedelta(seconds=300)
"""How long a token is good that a key signs; as pyunicore has it."""

PREFERENCES = ("uid", "group", "role")
"""What may be chosen. A site takes `vo` too, and does nothing with it."""
_OFFERED = {
    "uid": ("xlogin", "UID", "availableUIDs"),
    "group": ("xlogin", "group", "availableGroups"),
    "role": ("role", "selected", "availableRoles"),
}
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


def header(credential: Credential, now: datetime) -> Header:
    """`now` is the site's time, for a key signs for some minutes from then on.

    Raises AuthenticationFailed when the key is none that UNICORE takes."""
    login, secret = credential.login_name or "", credential.secret or ""
    if credential.method == "password":
        return _password(login, secret)
    if credential.method in ("token", "oidc"):
        return BearerToken(secret)
    if credential.method == "ssh-key":
        return _signed(login, _private_key(secret, credential.passphrase), now)
    return Anonymous()


def preferences(credential: Credential) -> str | None:
    """The value of the header `X-UNICORE-User-Preferences`."""
    return ",".join(f"{name}:{value}" for name, value in credential.preferences.items()) or None


def choice(client: Mapping[str, Any], name: str) -> tuple[str, tuple[str, ...]]:
    """What is selected, and what is offered, as the server tells it below `client`; empty where it does not."""
    section, selected, offered = _OFFERED[name]
    told = client.get(section)
    told = told if isinstance(told, Mapping) else {}
    others = told.get(offered)
    return str(told.get(selected) or ""), tuple(map(str, others)) if isinstance(others, list) else ()


def unmet(credential: Credential, client: Mapping[str, Any], *, selected: bool = False) -> str | None:
    """A sentence for the first preference that the site does not offer this user, or, with `selected`, did not
    follow; None when all is well."""
    for name, wanted in credential.preferences.items():
        present, offered = choice(client, name)
        if offered and wanted not in offered:
            return f"preferences.{name}: {wanted!r} is none of yours on this site. Choose one of: {', '.join(offered)}."
        if selected and present and present != wanted:
            return f"preferences.{name}: the site took {present!r}, not {wanted!r}. Choose another, or leave it out."
    return None


def _password(login: str, secret: str) -> Header:
    if (login + secret).isascii():
        return UsernamePassword(login, secret)
    # pyunicore encodes as ASCII and raises; the header is UTF-8 by RFC 7617.
    encoded: str = httpx.BasicAuth(login.encode(), secret.encode())._auth_header
    return BasicToken(encoded.removeprefix("Basic "))


def _signed(login: str, key: PrivateKeyTypes, now: datetime) -> Header:
    """The same claims as of `pyunicore.credentials.JWTToken`, which signs by our clock, and any curve as P-256."""
    if isinstance(key, RSAPrivateKey):
        algorithm: str | None = "RS256"
    elif isinstance(key, EllipticCurvePrivateKey):
        algorithm = _CURVES.get(key.curve.name)
    else:
        algorithm = "EdDSA" if isinstance(key, Ed25519PrivateKey) else None
    if algorithm is None:
        raise AuthenticationFailed("UNICORE takes no key of this kind. Give one of kind Ed25519, RSA or ECDSA.")
    claims = {"etd": "false", "sub": login, "iss": login, "iat": now, "exp": now + SIGNED_FOR}
    return BearerToken(jwt.encode(claims, key, algorithm=algorithm))  # type: ignore[arg-type]  # narrowed above


def _private_key(pem: str, passphrase: str | None) -> PrivateKeyTypes:
    data, password = pem.encode(), passphrase.encode() if passphrase else None
    try:
        if b"OPENSSH PRIVATE KEY" in data:
            return serialization.load_ssh_private_key(data, password)
        return serialization.load_pem_private_key(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuthenticationFailed(f"The private key cannot be used: {error}. Give another one.") from None
