"""The one door to stored bytes: keys stand in the database, bytes in a directory (or a bucket, by fsspec)."""

import asyncio
import os
import secrets
import zlib
from pathlib import Path
from typing import Protocol


class BlobStore(Protocol):
    """Bytes by key. A key is written once and never changed."""

    async def put(self, key: str, data: bytes) -> None:
        """On return the bytes are kept; a second put of a key replaces it whole."""
        ...

    async def get(self, key: str) -> bytes:
        """Raises FileNotFoundError."""
        ...

    async def delete(self, key: str) -> None:
        """Gone already is no error."""
        ...


class DirectoryBlobs:
    """Blobs as compressed files below a directory of the gateway."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def put(self, key: str, data: bytes) -> None:
        await asyncio.to_thread(self._write, self._path(key), data)

    async def get(self, key: str) -> bytes:
        return zlib.decompress(await asyncio.to_thread(self._path(key).read_bytes))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    def _path(self, key: str) -> Path:
        path = (self._directory / key).resolve()
        if not path.is_relative_to(self._directory.resolve()):
            raise ValueError("a blob key leaves its directory")
        return path

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        with part.open("wb") as file:
            file.write(zlib.compress(data, 6))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
