"""The vault: secrets encrypted with AES-256-GCM, each bound to its own row; keys rotate."""

import hashlib
import os
import uuid
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.errors import Unavailable
from gateway.secrets.rows import Secret

KEY_BYTES = 32
NONCE_BYTES = 12


class Vault:
    """A key ring: the first key encrypts, all decrypt."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a vault needs at least one key of {KEY_BYTES} bytes")
        self._ring = {key_id(key): AESGCM(key) for key in keys}
        self._current = key_id(keys[0])
        self._keys = tuple(keys)

    async def store(self, session: AsyncSession, plaintext: str) -> uuid.UUID:
        """Encrypt into a new row and return its id."""
        secret_id = uuid.uuid4()
        session.add(Secret(id=secret_id, ciphertext=self._encrypt(secret_id, plaintext), key_id=self._current))
        await session.flush()
        return secret_id

    async def open(self, session: AsyncSession, secret_id: uuid.UUID) -> str:
        """The plaintext. Raises Unavailable when its key is not in the ring or the row was tampered with."""
        row = await session.get(Secret, secret_id)
        if row is None:
            raise Unavailable("A stored secret is gone.", next_step="Give the credential again.")
        return self._decrypt(row)

    async def remove(self, session: AsyncSession, secret_id: uuid.UUID) -> None:
        """Forget a secret; gone already is no error."""
        await session.execute(delete(Secret).where(Secret.id == secret_id))

    async def rotate(self, session: AsyncSession, limit: int = 1000) -> int:
        """Encrypt again, with the first key, up to `limit` secrets of older keys; returns how many."""
        rows = await session.scalars(select(Secret).where(Secret.key_id != self._current).limit(limit))
        old = list(rows)
        for row in old:
            row.ciphertext = self._encrypt(row.id, self._decrypt(row))
            row.key_id = self._current
        return len(old)

    def derived(self, purpose: bytes) -> list[bytes]:
        """Keys for something else than these secrets, that of the newest key first."""
        return [HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose).derive(key) for key in self._keys]

    def _encrypt(self, secret_id: uuid.UUID, plaintext: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ring[self._current].encrypt(nonce, plaintext.encode(), secret_id.bytes)

    def _decrypt(self, row: Secret) -> str:
        cipher = self._ring.get(row.key_id)
        if cipher is None:
            raise Unavailable(
                f"A stored secret was encrypted with key {row.key_id}, which the gateway does not have.",
                next_step="The operator has to add that key to MANTIK_SECRET_KEYS.",
            )
        nonce, sealed = row.ciphertext[:NONCE_BYTES], row.ciphertext[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, sealed, row.id.bytes).decode()
        except InvalidTag:
            raise Unavailable("A stored secret is damaged.", next_step="Give the credential again.") from None


def key_id(key: bytes) -> str:
    """A name for a key that tells nothing of it."""
    return hashlib.sha256(b"mantik key id" + key).hexdigest()[:16]
