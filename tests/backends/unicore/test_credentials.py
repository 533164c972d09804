"""Credentials as headers, and what a user chose against what a site offers."""

import base64
from datetime import UTC, datetime, timedelta

import asyncssh
import jwt
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import x25519

from backends.errors import AuthenticationFailed
from backends.spec import Credential
from backends.unicore.credentials import choice, header, preferences, unmet


def now() -> datetime:
    """Not that of the import: tokens end while the tests before this one go on."""
    return datetime.now(UTC)


CLIENT = {
    "role": {"selected": "user", "availableRoles": ["user", "admin"]},
    "xlogin": {"UID": "alice1", "availableUIDs": ["alice1"], "group": "proj1", "availableGroups": ["proj1", "proj2"]},
}


def choosing(**chosen: str) -> Credential:
    return Credential(1, "token", None, "t", preferences=chosen)


def test_a_password_of_any_characters() -> None:
    said = header(Credential(1, "password", "älice", "pä:ß"), now()).get_auth_header()
    assert base64.b64decode(said.removeprefix("Basic ")).decode() == "älice:pä:ß"
    said = header(Credential(1, "password", "alice", "a:b"), now()).get_auth_header()
    assert base64.b64decode(said.removeprefix("Basic ")) == b"alice:a:b"


def test_a_token() -> None:
    assert header(Credential(1, "token", None, "abc"), now()).get_auth_header() == "Bearer abc"
    assert header(Credential(1, "oidc", None, "abc"), now()).get_auth_header() == "Bearer abc"
    assert header(Credential(1, "none"), now()).get_auth_header() is None


@pytest.mark.parametrize(
    ("kind", "form", "algorithm"),
    [
        ("ssh-ed25519", "openssh", "EdDSA"),
        ("ssh-rsa", "openssh", "RS256"),
        ("ssh-rsa", "pkcs8-pem", "RS256"),
        ("ssh-rsa", "pkcs1-pem", "RS256"),
        ("ecdsa-sha2-nistp256", "pkcs8-pem", "ES256"),
        ("ecdsa-sha2-nistp384", "openssh", "ES384"),
        ("ecdsa-sha2-nistp521", "openssh", "ES512"),
    ],
)
def test_a_key_signs_a_token_of_its_own(kind: str, form: str, algorithm: str) -> None:
    key = asyncssh.generate_private_key(kind)
    credential = Credential(1, "ssh-key", "alice", key.export_private_key(form).decode())
    token = header(credential, now()).get_auth_header().removeprefix("Bearer ")
    public = key.convert_to_public().export_public_key("pkcs8-pem")
    values = jwt.decode(token, public, algorithms=[algorithm])
    assert (values["sub"], values["iss"], values["etd"]) == ("alice", "alice", "false")
    assert values["exp"] - values["iat"] == 300


def test_a_key_signs_by_the_clock_of_the_site() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    tomorrow = now() + timedelta(days=1)
    token = header(Credential(1, "ssh-key", "alice", key), tomorrow).get_auth_header().removeprefix("Bearer ")
    assert jwt.decode(token, options={"verify_signature": False})["iat"] == int(tomorrow.timestamp())


def test_a_key_that_cannot_sign_is_told_without_showing_it() -> None:
    with pytest.raises(AuthenticationFailed) as refused:
        header(Credential(1, "ssh-key", "alice", "-----BEGIN PRIVATE KEY-----\nsecret\n"), now())
    assert "secret" not in refused.value.message
    other = x25519.X25519PrivateKey.generate()
    pem = other.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    with pytest.raises(AuthenticationFailed, match="Give one of kind Ed25519, RSA or ECDSA"):
        header(Credential(1, "ssh-key", "alice", pem), now())


def test_what_was_chosen_is_one_header() -> None:
    assert preferences(choosing(group="proj2", role="user")) == "group:proj2,role:user"
    assert preferences(choosing()) is None


def test_what_was_chosen_is_compared_with_what_is_offered() -> None:
    assert unmet(choosing(group="proj2", role="admin", uid="alice1"), CLIENT) is None
    assert unmet(choosing(group="proj9"), CLIENT) == (
        "preferences.group: 'proj9' is none of yours on this site. Choose one of: proj1, proj2."
    )
    assert unmet(choosing(group="proj2"), CLIENT, selected=True) == (
        "preferences.group: the site took 'proj1', not 'proj2'. Choose another, or leave it out."
    )
    assert unmet(choosing(group="proj2"), {}, selected=True) is None, "the site does not tell"


@pytest.mark.parametrize("client", [{}, {"xlogin": "alice"}, {"xlogin": {"availableGroups": "proj1", "group": None}}])
def test_a_site_that_tells_nothing_of_groups(client: dict[str, object]) -> None:
    assert choice(client, "group") == ("", ())
