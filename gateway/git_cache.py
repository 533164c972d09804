"""What mirrors and bundles take on the disk, and which of them go when that is too much: the longest unused ones."""

import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

IN_USE = 900.0
"""Seconds after its last use in which an entry stays in any case: a plan or an upload may be at it."""
LEFT_OVER = (".part", ".gone")
"""Endings of what only a killed gateway leaves behind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A mirror (directory) or a bundle (file)."""

    path: Path
    size: int
    """Bytes."""
    used: float
    """Seconds since the epoch."""

    @property
    def left_over(self) -> bool:
        return self.path.name.endswith(LEFT_OVER)


def note_use(path: Path) -> None:
    """Its time is the time of its last use; what is gone by now is no error."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return


def entries(directories: Sequence[Path]) -> list[Entry]:
    found = []
    for path in (path for directory in directories for path in directory.iterdir()):
        try:
            used = path.stat().st_mtime
        except FileNotFoundError:
            continue
        found.append(Entry(path, sum(_sizes(path)), used))
    return found


def to_evict(found: Collection[Entry], keep: Collection[Path], most: int, now: float | None = None) -> list[Entry]:
    """Left-overs, and then the longest unused entries until the rest has at most `most` bytes.

    Never one of `keep`, and none that was used within IN_USE; with these alone it may stay above `most`."""
    since = (time.time() if now is None else now) - IN_USE
    free = sorted((e for e in found if e.used < since and e.path not in keep), key=lambda e: e.used)
    chosen = [e for e in free if e.left_over]
    too_much = sum(e.size for e in found) - sum(e.size for e in chosen) - most
    for entry in free:
        if too_much <= 0:
            break
        if not entry.left_over:
            chosen.append(entry)
            too_much -= entry.size
    return chosen


def remove(entry: Entry) -> bool:
    """False when it was used since it was looked at, or is gone."""
    try:
        if not entry.left_over and entry.path.stat().st_mtime > entry.used:
            return False
        gone = entry.path.with_name(f"{entry.path.name}.gone")
        entry.path.rename(gone)  # at once: nobody sees half of a mirror
    except FileNotFoundError:
        return False
    if gone.is_dir():
        shutil.rmtree(gone, ignore_errors=True)
    else:
        gone.unlink(missing_ok=True)
    return True


def _sizes(path: Path) -> Iterator[int]:
    if not path.is_dir():
        yield _size(path)
        return
    for folder, _, names in os.walk(path):
        yield from (_size(Path(folder, name)) for name in names)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
