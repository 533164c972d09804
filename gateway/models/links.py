"""Links that open one archive for an hour without a login, as clients fetch what they were given the address of."""

import base64
import binascii
import hmac
import uuid
from datetime import datetime, timedelta

from gateway import clock
from gateway.secrets.vault import Vault

KEPT = timedelta(hours=1)
_PURPOSE = b"mantik model image"
_MAC_BYTES = 16
_NAME_BYTES = 24


def link_of(vault: Vault, model_id: uuid.UUID) -> str:
    """For a URL: letters, digits, `-` and `_`."""
    name = model_id.bytes + int((clock.now() + KEPT).timestamp()).to_bytes(8)
    return base64.urlsafe_b64encode(name + _mac(vault.derived(_PURPOSE)[0], name)).decode().rstrip("=")


def opened_by(vault: Vault, link: str) -> uuid.UUID | None:
    """The model, while the link holds; None when it does not, or we did not make it."""
    try:
        data = base64.b64decode(link + "=" * (-len(link) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    name, mac = data[:_NAME_BYTES], data[_NAME_BYTES:]
    if not any(hmac.compare_digest(mac, _mac(key, name)) for key in vault.derived(_PURPOSE)):
        return None
    ends = datetime.fromtimestamp(int.from_bytes(name[16:]), clock.now().tzinfo)
    return uuid.UUID(bytes=name[:16]) if clock.now() < ends else None


def _mac(key: bytes, name: bytes) -> bytes:
    return hmac.digest(key, name, "sha256")[:_MAC_BYTES]
