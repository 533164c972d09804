"""Names on a host: where an attempt lies; and files on their way there, as an archive."""

import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from backends.errors import InvalidJob
from backends.spec import Handle


@dataclass(frozen=True, slots=True)
class Place:
    """`<root>/<run>/<attempt>`, as the words that `entry.sh` takes."""

    root: str
    run: str
    attempt: str

    @classmethod
    def of(cls, handle: Handle) -> "Place":
        """Raises InvalidJob when the handle is none of a host."""
        path = PurePosixPath(handle.location)
        if not path.is_absolute() or len(path.parts) < 3:
            raise InvalidJob(f"{handle.location!r} is no attempt's directory.")
        return cls(str(path.parent.parent), path.parent.name, path.name)

    @property
    def words(self) -> tuple[str, str, str]:
        return self.root, self.run, self.attempt

    @property
    def name(self) -> str:
        """As in the answer of `evidence`."""
        return f"{self.run}/{self.attempt}"


class Archive:
    """A tar of small files, each of mode 0600. Its headers are made by hand: `tarfile` takes several times as long."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def file(self, name: str, data: bytes) -> None:
        self._parts += [
            _header(name, tarfile.REGTYPE, 0o600, size=len(data)),
            data,
            bytes(-len(data) % tarfile.BLOCKSIZE),
        ]

    def directory(self, name: str) -> None:
        self._parts.append(_header(name, tarfile.DIRTYPE, 0o700))

    def symlink(self, name: str, target: str) -> None:
        self._parts.append(_header(name, tarfile.SYMTYPE, 0o777, target))

    def link(self, name: str, other: str) -> None:
        """One more name of a file that comes before."""
        self._parts.append(_header(name, tarfile.LNKTYPE, 0o600, other))

    def bytes(self) -> bytes:
        """An archive ends with two empty blocks."""
        return b"".join([*self._parts, bytes(2 * tarfile.BLOCKSIZE)])


def _header(name: str, kind: bytes, mode: int, target: str = "", *, size: int = 0) -> bytes:
    path, other = name.encode(), target.encode()
    if max(len(path), len(other)) > tarfile.LENGTH_NAME or size >= 1 << 33:
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.linkname, member.size = kind, mode, target, size
        return member.tobuf(tarfile.GNU_FORMAT)
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, 0)
    start = b"%b%b%b%b" % (path.ljust(100, b"\0"), numbers, b" " * 8, kind)
    block = (start + other.ljust(100, b"\0") + b"ustar\00000").ljust(tarfile.BLOCKSIZE, b"\0")
    # The sum is taken with spaces in its own place.
    return b"%b%06o\0 %b" % (block[:148], sum(block), block[156:])
