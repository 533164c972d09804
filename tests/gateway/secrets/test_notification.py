"""The address of one attempt: the same each time, and nobody else can make one."""

import base64
import uuid

import pytest

from gateway.secrets.notification import Told, secret_of, told_by
from gateway.secrets.vault import Vault

OLD, NEW = b"o" * 32, b"n" * 32
ABOUT = Told(uuid.UUID(int=7), 3)


def test_it_names_its_attempt_and_is_fit_for_a_url() -> None:
    secret = secret_of(Vault([NEW]), ABOUT)
    assert secret == secret_of(Vault([NEW]), ABOUT)
    assert told_by(Vault([NEW]), secret) == ABOUT
    assert secret.replace("-", "").replace("_", "").isalnum()
    assert secret != secret_of(Vault([NEW]), Told(ABOUT.run_id, 4))


def test_it_holds_while_its_key_is_in_the_ring() -> None:
    secret = secret_of(Vault([OLD]), ABOUT)
    assert told_by(Vault([NEW, OLD]), secret) == ABOUT
    assert told_by(Vault([NEW]), secret) is None


def _for_another_run(secret: str) -> str:
    data = base64.urlsafe_b64decode(secret)
    return base64.urlsafe_b64encode(uuid.UUID(int=8).bytes + data[16:]).decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: "",
        lambda secret: "x",
        lambda secret: secret[:-4],
        lambda secret: secret + "AAAA",
        lambda secret: secret[:-1] + ("A" if secret[-1] != "A" else "B"),
        lambda secret: "é" + secret[1:],
        lambda secret: base64.urlsafe_b64encode(base64.urlsafe_b64decode(secret)[:20]).decode(),
        _for_another_run,
    ],
)
def test_another_one_is_none_of_ours(change: object) -> None:
    vault = Vault([NEW])
    changed = change(secret_of(vault, ABOUT))  # type: ignore[operator]
    assert told_by(vault, changed) is None
