"""The secret path at which a site may tell of one attempt: made from the gateway's key, so that nothing is stored."""

import base64
import binascii
import hmac
import uuid
from dataclasses import dataclass

from gateway.secrets.vault import Vault

_PURPOSE = b"mantik notification"
_MAC_BYTES = 16
_NAME_BYTES = 20


@dataclass(frozen=True, slots=True)
class Told:
    """Whom a notification is about."""

    run_id: uuid.UUID
    attempt: int


def secret_of(vault: Vault, about: Told) -> str:
    """For a URL: letters, digits, `-` and `_`. Always the same for one attempt, as long as the newest key is."""
    name = _name(about)
    return base64.urlsafe_b64encode(name + _mac(vault.derived(_PURPOSE)[0], name)).decode()


def told_by(vault: Vault, secret: str) -> Told | None:
    """Whom it was made for, by any key of the ring; None when we did not make it."""
    try:
        data = base64.b64decode(secret, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    name, mac = data[:_NAME_BYTES], data[_NAME_BYTES:]
    if not any(hmac.compare_digest(mac, _mac(key, name)) for key in vault.derived(_PURPOSE)):
        return None
    return Told(uuid.UUID(bytes=name[:16]), int.from_bytes(name[16:]))


def _name(about: Told) -> bytes:
    return about.run_id.bytes + about.attempt.to_bytes(4)


def _mac(key: bytes, name: bytes) -> bytes:
    return hmac.digest(key, name, "sha256")[:_MAC_BYTES]
