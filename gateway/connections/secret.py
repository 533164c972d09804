"""What a request says about a credential, checked and made into the document that the vault keeps."""

from dataclasses import dataclass, field

from gateway import clock
from gateway.connections.keys import new_key_pair, opened_private_key
from gateway.errors import FieldProblem, InvalidInput
from gateway.schemas.sites import CreateConnection, UpdateCredential

Given = CreateConnection | UpdateCredential

_TAKEN = {
    "SSH-Key": ("private_key", "passphrase", "certificate"),
    "Username-Password": ("password",),
    "Token": ("token",),
    "None": (),
}
_SECRET = {"SSH-Key": "private_key", "Username-Password": "password", "Token": "token", "None": ""}
_WIRE = {"private_key": "privateKey"}


@dataclass(frozen=True, slots=True)
class NewSecret:
    """`document` goes into the vault; None for a connection without a secret. `public_key` when we made the key."""

    document: dict[str, str | None] | None = field(repr=False)
    public_key: str | None = None


def new_secret(method: str, given: Given, *, login_name: str | None, comment: str) -> NewSecret:
    """Raises InvalidInput with every field that is missing or does not belong to the method.

    Opens an encrypted key, which takes long: call it in a thread, outside of a transaction."""
    problems = _problems(method, given, login_name)
    if problems:
        raise InvalidInput("The credential is not valid.", problems=problems)
    if method == "None":
        return NewSecret(None)
    if method == "SSH-Key" and not given.private_key:
        private, public = new_key_pair(comment)
        return NewSecret({"secret": private, "passphrase": None, "certificate": given.certificate}, public)
    if method == "SSH-Key" and given.private_key:
        opened = opened_private_key(given.private_key, given.passphrase)
        return NewSecret({"secret": opened, "passphrase": None, "certificate": given.certificate})
    secret: str = getattr(given, _SECRET[method])
    return NewSecret({"secret": secret, "passphrase": given.passphrase, "certificate": given.certificate})


def _problems(method: str, given: Given, login_name: str | None) -> list[FieldProblem]:
    named = {name for names in _TAKEN.values() for name in names}
    problems = [
        FieldProblem(_WIRE.get(name, name), f"does not belong to authMethod {method}; leave it out.")
        for name in sorted(named - set(_TAKEN[method]))
        if getattr(given, name) is not None
    ]
    if method in ("Username-Password", "Token") and not getattr(given, _SECRET[method]):
        problems.append(FieldProblem(_SECRET[method], f"is needed for authMethod {method}."))
    if method in ("Username-Password", "SSH-Key") and not login_name:
        problems.append(FieldProblem("loginName", f"is needed for authMethod {method}: your user name there."))
    if login_name and (login_name.startswith("-") or not login_name.isprintable() or " " in login_name):
        problems.append(FieldProblem("loginName", "is no user name; it may not begin with `-` or hold spaces."))
    if given.valid_until is not None and (given.valid_until.tzinfo is None or given.valid_until <= clock.now()):
        problems.append(FieldProblem("validUntil", "must be in the future, with its zone, or be left out."))
    return problems
