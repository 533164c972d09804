"""Names on a host: where an attempt lies, and its files as an archive."""

import io
import tarfile
from collections.abc import Mapping
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


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of small files, each of mode 0600."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()
