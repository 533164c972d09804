"""The key ring of a gateway: from the settings, or a file in the data directory made at the first start."""

import base64
import binascii
import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import InvalidInput
from gateway.secrets.vault import KEY_BYTES
from gateway.settings import Settings

KEY_FILE = "secret.keys"


def load_keys(settings: Settings) -> list[bytes]:
    """Keys, newest first. Raises InvalidInput that names where a bad key stands, never the key."""
    if settings.secret_keys:
        return [_decode(k.get_secret_value(), "MANTIK_SECRET_KEYS") for k in settings.secret_keys]
    path = settings.data_dir / KEY_FILE
    if not path.exists():
        _make(path)
    keys = [_decode(line, str(path)) for line in path.read_text().split()]
    if not keys:
        raise InvalidInput(f"{path} holds no key.", next_step="Restore the file from a backup.")
    return keys


def signing_key(key: bytes) -> bytes:
    """The key that signs access tokens, derived so that one file holds all."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"mantik access token").derive(key)


def _make(path: Path) -> None:
    """Write a fresh key, readable by its owner only, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = base64.urlsafe_b64encode(os.urandom(KEY_BYTES)) + b"\n"
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"{where}: a key must be {KEY_BYTES} bytes in URL-safe base64.")
    return key
