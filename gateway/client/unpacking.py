"""An archive that was downloaded becomes a directory: whole, or not at all."""

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import Conflict, Unavailable


def check(directory: Path) -> None:
    """Raises Conflict for a place where something is."""
    if directory.is_dir() and not any(directory.iterdir()):
        return
    if directory.exists():
        raise Conflict(f"{directory} is there already.", next_step="Give another directory.")


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """Where the archive goes meanwhile, on the same file system as the directory."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mantik-", dir=directory.parent) as place:
        yield Path(place) / "model.tar"


def unpack(archive: Path, directory: Path) -> Path:
    """The directory, with what lies in the one folder of the archive; nothing in it leads out of it."""
    inside = archive.parent / "files"
    try:
        with tarfile.open(archive, "r:") as tar:
            tar.extractall(inside, filter="data")
        (folder,) = inside.iterdir()
    except (tarfile.TarError, ValueError):
        raise Unavailable("The download is no whole archive of a model.", next_step="Try again.") from None
    return folder.rename(directory)
