"""Files of a job's directory, by the server's storage of it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from posixpath import basename
from typing import Any
from urllib.parse import quote

from backends.errors import InvalidJob, JobNotFound
from backends.reasons import Reason
from backends.unicore.answers import ServerError
from backends.unicore.jobs import when
from backends.unicore.transport import Body, Channel

READ_SECONDS = 20.0
"""Without a byte for so long, a read is given up: a file that shrank meanwhile would never answer."""
PART = 8 << 20
"""Bytes asked for at once."""
UPLOAD = 1 << 20
PRIVATE = "rw-------"
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `path` is relative to the job's directory."""

    path: str
    size: int
    is_directory: bool
    modified_at: datetime

    @property
    def name(self) -> str:
        return basename(self.path)


class Directory:
    """The directory of one job. Paths are relative and stay inside: see `links`."""

    def __init__(self, channel: Channel, job: str) -> None:
        self._channel = channel
        self._storage = f"/storages/{job}-uspace"

    def _url(self, path: str) -> str:
        return f"{self._storage}/files/{quote(path.encode('utf-8', 'surrogateescape'), safe='/')}"

    async def mount_point(self) -> str:
        """Absolute, on the site."""
        return str((await self._channel.get(self._storage))["mountPoint"]).rstrip("/")

    async def properties(self) -> Mapping[str, Any]:
        values: Mapping[str, Any] = await self._channel.get(self._storage)
        return values

    async def stat(self, path: str) -> tuple[Entry, list[Entry]]:
        """A file; of a directory also what is in it. Raises JobNotFound."""
        values = await self._channel.get(self._url("" if path == "." else path))
        inside = [_entry(name, one) for name, one in (values.get("content") or {}).items()]
        return _entry(path, values), inside

    async def list(self, path: str = ".") -> dict[str, Entry]:
        """What is in a directory, by name. Raises JobNotFound."""
        own, inside = await self.stat(path)
        if not own.is_directory:
            raise JobNotFound(f"{path} is no directory.")
        return {entry.name: entry for entry in inside}

    async def some(self, names: Iterable[str]) -> dict[str, Entry]:
        """Those of the named files that are there: for a directory so full that a listing of it is large."""
        found = {}
        for name in names:
            with suppress(JobNotFound):
                found[name] = (await self.stat(name))[0]
        return found

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """Up to `limit` bytes from `offset`; nothing is asked for at or past the end that `stat` says."""
        own, _ = await self.stat(path)
        if own.is_directory:
            raise JobNotFound(f"{path} is a directory.")
        return await self.read_seen(path, offset, min(offset + limit, own.size))

    async def read_seen(self, path: str, offset: int, end: int) -> bytes:
        """Bytes from `offset` to before `end`, which was seen to be there just now."""
        got = bytearray()
        while offset + len(got) < end:
            first = offset + len(got)
            last = min(first + PART, end) - 1
            part = await self._channel.download(self._url(path), first, last, seconds=READ_SECONDS)
            got += part
            if len(part) < last - first + 1:
                break
        return bytes(got)

    async def write(self, path: str, data: bytes | Path) -> None:
        """What arrived is for the caller to verify by its size."""
        if isinstance(data, Path):
            await self._channel.upload(self._url(path), _parts(data), data.stat().st_size)
        else:
            await self._channel.upload(self._url(path), data, len(data))

    async def make_private(self, path: str) -> None:
        """Mode 0600. Raises InvalidJob when the site does not do it: then no secret may lie there."""
        answer = await self._channel.change(self._url(path), {"permissions": PRIVATE})
        if answer.get("permissions") != "OK":
            message = f"The site does not make {path} private: {answer.get('permissions')}."
            raise InvalidJob(message, reason=Reason.PREPARE_FAILED, text=str(answer))

    async def rename(self, old: str, new: str) -> bool:
        """True when this call did it: of several at once exactly one does. False when there is no `old`."""
        try:
            await self._channel.post(f"{self._storage}/actions/rename", {"from": f"/{old}", "to": f"/{new}"})
        except (ServerError, JobNotFound):
            return False
        return True

    async def remove(self, path: str) -> None:
        """Gone already is no error."""
        with suppress(JobNotFound):
            try:
                await self._channel.delete(self._url(path))
            except ServerError:
                await self.stat(path)  # raises JobNotFound when that was why
                raise


def _parts(file: Path) -> Body:
    async def body() -> AsyncIterator[bytes]:
        with file.open("rb") as opened:
            while part := await asyncio.to_thread(opened.read, UPLOAD):
                yield part

    return body


def _entry(path: str, values: Mapping[str, Any]) -> Entry:
    directory = bool(values.get("isDirectory"))
    at = when(values.get("lastAccessed")) or EPOCH
    return Entry(path.strip("/") or ".", 0 if directory else int(values.get("size") or 0), directory, at)
