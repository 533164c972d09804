"""Values as a person reads them."""

import re
import unicodedata
from datetime import UTC, datetime

from gateway import clock


def plain(text: object) -> str:
    """One line without control characters: names and messages come from others and must not move the cursor."""
    if text is None:
        return ""
    words = "".join(c if c.isprintable() else " " for c in str(text))
    return words.strip()


_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_BEGUN = re.compile(r"\x1b(?:\[[0-9;:]{0,60})?\Z")
_KEPT = frozenset("\n\t\r")


class ForTerminal:
    """A log that comes in pieces, with its colours and without what else could command a terminal."""

    def __init__(self) -> None:
        self._begun = ""

    def feed(self, piece: str) -> str:
        text = self._begun + piece
        begun = _BEGUN.search(text)
        self._begun = begun[0] if begun else ""
        text = text[: len(text) - len(self._begun)]
        colours = _COLOUR.findall(text)
        parts = ["".join(c for c in part if not _controls(c)) for part in _COLOUR.split(text)]
        return parts[0] + "".join(colour + part for colour, part in zip(colours, parts[1:], strict=True))


def visible(text: str) -> str:
    """With control characters written out, as \\x1b: what is reviewed must show all that is in it."""
    return "".join(f"\\x{ord(c):02x}" if c == "\r" or _controls(c) else c for c in text)


def _controls(character: str) -> bool:
    return character not in _KEPT and unicodedata.category(character) == "Cc"


def moment(when: datetime | None) -> str:
    """Local time with its zone."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if when is not None else ""


def age(when: datetime | None) -> str:
    """How long ago, in one unit."""
    if when is None:
        return ""
    seconds = max(0.0, (clock.now() - when.astimezone(UTC)).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return f"{int(seconds)}s ago"


def duration(seconds: float | None) -> str:
    """In the two largest units."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{int(seconds)}s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def hours(count: float | None) -> str:
    """At most two decimals; - where there is none."""
    return "-" if count is None else f"{count:.2f}".rstrip("0").rstrip(".")


def size(count: float | None) -> str:
    """Bytes in one unit of 1024."""
    if count is None:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return ""
