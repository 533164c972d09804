"""Tables of text: fit the terminal by shortening; whole when piped."""

import shutil
import sys
from collections.abc import Sequence

from gateway.cli.text import plain

_GAP = "  "
_LEAST = 8


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, width: int | None = None) -> str:
    """Lines of text. A column whose name ends in `ID` is never shortened. `width`: None for that of the terminal."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    room = terminal_width() if width is None else width
    if room:
        widths = _fitted(columns, widths, room - len(_GAP) * (len(columns) - 1))
    return "\n".join(_line(row, widths) for row in [list(columns), *cells])


def fields(pairs: Sequence[tuple[str, object]]) -> str:
    """Name and value, one a line; those without a value are left out."""
    shown = [(name, plain(value)) for name, value in pairs if value is not None and value != ""]
    wide = max((len(name) for name, _ in shown), default=0) + 1
    return "\n".join(f"{name + ':':<{wide}} {value}" for name, value in shown)


def terminal_width() -> int:
    """Columns of the terminal; 0 when stdout is none."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 0


def _fitted(columns: Sequence[str], widths: list[int], room: int) -> list[int]:
    widths = list(widths)
    while sum(widths) > room:
        may = [i for i, name in enumerate(columns) if not name.endswith("ID") and widths[i] > max(_LEAST, len(name))]
        if not may:
            break
        widest = max(may, key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    parts = [cell if len(cell) <= n else f"{cell[: n - 1]}…" for cell, n in zip(row, widths, strict=True)]
    return _GAP.join(f"{part:<{n}}" for part, n in zip(parts, widths, strict=True)).rstrip()
