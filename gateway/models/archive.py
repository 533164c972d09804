"""An archive of a model's files, made while it is sent: neither held in memory nor laid down on a disk."""

import asyncio
import tarfile
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from gateway.errors import Unavailable

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_PIECE = 1 << 18
_GZIP = 31
"""Window bits of zlib that write a gzip header."""


@dataclass(frozen=True, slots=True)
class Member:
    path: str
    """In the archive."""
    size: int
    """Bytes."""
    content: Callable[[], AsyncIterator[bytes]]


def member(path: str, data: bytes) -> Member:
    """A file whose bytes are known."""

    async def content() -> AsyncIterator[bytes]:
        yield data

    return Member(path, len(data), content)


def size_of(members: Sequence[Member]) -> int:
    """Bytes of `tar`."""
    return sum(len(_header(m)) + m.size + _padding(m.size) for m in members) + len(_END)


async def tar(members: Sequence[Member]) -> AsyncIterator[bytes]:
    """Raises Unavailable when a file has another size by now: the archive is cut then, and whoever reads it sees it."""
    for one in members:
        yield _header(one)
        left = one.size
        async for chunk in one.content():
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
        if left != 0:
            raise Unavailable(f"The file {one.path} changed while it was read.", next_step="Try again.")
        yield bytes(_padding(one.size))
    yield _END


async def gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Packed in a thread: the loop serves others meanwhile."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    async for piece in _pieces(chunks):
        if packed := await asyncio.to_thread(packer.compress, piece):
            yield packed
    yield packer.flush()


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces that are worth a thread each."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _header(one: Member) -> bytes:
    info = tarfile.TarInfo(one.path)
    info.size, info.mode = one.size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> int:
    return -size % _BLOCK
