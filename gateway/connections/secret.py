"""What a request says about a credential, checked and made into the document that the vault keeps."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic.alias_generators import to_camel

from gateway import clock
from gateway.connections.issuers import TokenIssuers, is_token
from gateway.connections.keys import new_key_pair, opened_private_key
from gateway.connections.tokens import TokenDocument
from gateway.errors import FieldProblem, InvalidInput
from gateway.schemas.sites import CreateConnection, UpdateCredential

Given = CreateConnection | UpdateCredential

_TAKEN = {
    "SSH-Key": ("private_key", "passphrase", "certificate"),
    "Username-Password": ("password",),
    "Token": ("token",),
    "OIDC": ("refresh_token", "token_url", "issuer", "client_id", "client_secret", "scope"),
    "None": (),
}
_NEEDED = {"Username-Password": ("password",), "Token": ("token",), "OIDC": ("refresh_token",)}
_HEADER = ("token", "refresh_token", "client_id")


@dataclass(frozen=True, slots=True)
class NewSecret:
    """`document` goes into the vault; None for a connection without a secret. `public_key` when we made the key."""

    document: str | None = field(repr=False)
    public_key: str | None = None
    issuer: dict[str, Any] | None = None
    """Of OIDC, as `CredentialVersion.issuer`."""


def new_secret(method: str, given: Given, *, login_name: str | None, comment: str) -> NewSecret:
    """Raises InvalidInput with every field that is missing or does not belong to the method.

    Opens an encrypted key, which takes long: call it in a thread, outside of a transaction."""
    problems = _problems(method, given, login_name)
    if problems:
        raise InvalidInput("The credential is not valid.", problems=problems)
    if method == "SSH-Key":
        return _key(given, comment)
    if method == "OIDC":
        return NewSecret(TokenDocument(given.refresh_token or "", given.client_secret).text())
    return NewSecret(_document(given.password or given.token) if method != "None" else None)


def _key(given: Given, comment: str) -> NewSecret:
    if given.private_key:
        opened = opened_private_key(given.private_key, given.passphrase)
        return NewSecret(_document(opened, given.certificate))
    private, public = new_key_pair(comment)
    return NewSecret(_document(private, given.certificate), public)


def _document(secret: str | None, certificate: str | None = None) -> str:
    return json.dumps({"secret": secret, "passphrase": None, "certificate": certificate})


async def with_issuer(
    secret: NewSecret, given: Given, issuers: TokenIssuers, before: dict[str, Any] | None = None
) -> NewSecret:
    """Whom to ask for tokens; what is not given stays as it was `before`. May ask the issuer where its endpoint is:
    call it outside of a transaction. Raises InvalidInput."""
    before = before or {}
    if given.issuer and given.token_url:
        raise InvalidInput("tokenUrl: give either issuer or tokenUrl.")
    if given.issuer:
        url = await issuers.token_url(given.issuer)
    else:
        url = issuers.check_url(given.token_url, "tokenUrl") if given.token_url else before.get("tokenUrl", "")
    found = {
        "tokenUrl": url,
        "clientId": given.client_id or before.get("clientId"),
        "scope": given.scope or before.get("scope"),
    }
    missing = {
        "tokenUrl": "is needed for authMethod OIDC: the token endpoint of your issuer. Or give issuer.",
        "clientId": "is needed for authMethod OIDC: the client that the refresh token was given to.",
    }
    problems = [FieldProblem(name, text) for name, text in missing.items() if not found[name]]
    if problems:
        raise InvalidInput("The credential is not valid.", problems=problems)
    return replace(secret, issuer=found)


def keep_client_secret(secret: NewSecret, before: str) -> NewSecret:
    """Of the client that was there before; `before` is its document."""
    document = TokenDocument.parse(secret.document or "")
    kept = document.client_secret or TokenDocument.parse(before).client_secret
    return replace(secret, document=replace(document, client_secret=kept).text())


def _problems(method: str, given: Given, login_name: str | None) -> list[FieldProblem]:
    named = {name for names in _TAKEN.values() for name in names}
    problems = [
        FieldProblem(to_camel(name), f"does not belong to authMethod {method}; leave it out.")
        for name in sorted(named - set(_TAKEN[method]))
        if getattr(given, name) is not None
    ]
    problems += [
        FieldProblem(to_camel(name), f"is needed for authMethod {method}.")
        for name in _NEEDED.get(method, ())
        if not getattr(given, name)
    ]
    problems += [
        FieldProblem(to_camel(name), "may hold ASCII letters, digits and signs only, no spaces or line ends.")
        for name in _HEADER
        if name in _TAKEN[method] and (text := getattr(given, name)) and not is_token(text)
    ]
    if method in ("Username-Password", "SSH-Key") and not login_name:
        problems.append(FieldProblem("loginName", f"is needed for authMethod {method}: your user name there."))
    if login_name and (login_name.startswith("-") or not login_name.isprintable() or " " in login_name):
        problems.append(FieldProblem("loginName", "is no user name; it may not begin with `-` or hold spaces."))
    return [*problems, *valid_until_problems(given.valid_until)]


def valid_until_problems(valid_until: datetime | None) -> list[FieldProblem]:
    if valid_until is not None and (valid_until.tzinfo is None or valid_until <= clock.now()):
        return [FieldProblem("validUntil", "must be in the future, with its zone, or be left out.")]
    return []
