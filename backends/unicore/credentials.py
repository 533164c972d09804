"""Credentials as pyunicore takes them, and the renewal of those that end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from pyunicore.credentials import Anonymous, BasicToken, BearerToken, JWTToken, UsernamePassword
from pyunicore.credentials import Credential as Header

from backends.backend import CredentialSource, RenewingSource
from backends.errors import AuthenticationFailed, SiteUnavailable
from backends.spec import Credential, Renewal

EARLY = timedelta(seconds=60)
"""A token that ends sooner than this is renewed before it is used."""
SHORTEST = timedelta(seconds=30)
REFUSALS = (400, 401, 403)
"""What an issuer answers to a refresh token that it no longer takes."""


def header(credential: Credential) -> Header:
    """Raises AuthenticationFailed when the credential is not of a kind that UNICORE takes."""
    login, secret = credential.login_name or "", credential.secret or ""
    if credential.method == "password":
        return _password(login, secret)
    if credential.method in ("token", "oidc"):
        return BearerToken(secret)
    if credential.method == "ssh-key":
        return _signed(login, secret, credential.passphrase)
    return Anonymous()


def _password(login: str, secret: str) -> Header:
    if (login + secret).isascii():
        return UsernamePassword(login, secret)
    # pyunicore encodes as ASCII and raises; the header is UTF-8 by RFC 7617.
    encoded: str = httpx.BasicAuth(login.encode(), secret.encode())._auth_header
    return BasicToken(encoded.removeprefix("Basic "))


def _signed(login: str, pem: str, passphrase: str | None) -> Header:
    """As `create_credential(identity=...)` does, but that one takes the key from a file only."""
    key = _private_key(pem.encode(), passphrase.encode() if passphrase else None)
    if isinstance(key, RSAPrivateKey):
        algorithm = "RS256"
    else:
        algorithm = "ES256" if isinstance(key, EllipticCurvePrivateKey) else "EdDSA"
    return JWTToken(login, login, key, algorithm=algorithm)


def _private_key(pem: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    try:
        if b"OPENSSH PRIVATE KEY" in pem:
            return serialization.load_ssh_private_key(pem, passphrase)
        return serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuthenticationFailed(f"The private key cannot be used: {error}. Give another one.") from None


async def current(source: CredentialSource, now: datetime) -> Credential:
    """The credential to use now; one that ends soon is renewed first, and stored by its source.

    Raises AuthenticationFailed when the issuer refused to renew it, SiteUnavailable when it could not be asked."""
    credential = await source.get()
    ends = credential.expires_at
    if credential.method != "oidc" or credential.renewal is None or ends is None or ends > now + EARLY:
        return credential
    try:
        if isinstance(source, RenewingSource):
            return await source.renew(credential, renewed)
        return await renewed(credential)
    except AuthenticationFailed as error:
        await source.refused(credential, error.text or error.message)
        raise


async def renewed(credential: Credential) -> Credential:
    """Ask the issuer for a new access token. A refresh token that comes with it replaces ours."""
    renewal = credential.renewal
    if renewal is None:
        raise AuthenticationFailed("The token has ended, and there is none to renew it with. Give a new one.")
    form = {"grant_type": "refresh_token", "refresh_token": renewal.refresh_token, "client_id": renewal.client_id}
    form |= {"client_secret": renewal.client_secret} if renewal.client_secret else {}
    form |= {"scope": renewal.scope} if renewal.scope else {}
    try:
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.post(renewal.token_url, data=form, headers={"Accept": "application/json"})
            values = answer.json() if answer.is_success or answer.status_code in REFUSALS else {}
    except (httpx.HTTPError, ValueError) as error:
        raise SiteUnavailable(f"The token issuer {renewal.token_url} could not be asked: {error}.") from None
    if answer.status_code in REFUSALS:
        text = str(values.get("error_description") or values.get("error") or answer.status_code)
        message = f"The token issuer {renewal.token_url} does not renew the login: {text}. Log in anew."
        raise AuthenticationFailed(message, text=text)
    if "access_token" not in values:
        raise SiteUnavailable(f"The token issuer {renewal.token_url} answered {answer.status_code} without a token.")
    return _taken(credential, renewal, values)


def _taken(credential: Credential, renewal: Renewal, values: dict[str, object]) -> Credential:
    lasts = max(timedelta(seconds=int(str(values.get("expires_in") or 300))), SHORTEST)
    again = str(values.get("refresh_token") or renewal.refresh_token)
    return replace(
        credential,
        secret=str(values["access_token"]),
        expires_at=datetime.now(UTC) + lasts,
        renewal=replace(renewal, refresh_token=again),
    )
