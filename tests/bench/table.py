"""A measured figure, and the table of them that the docs keep."""

import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks.md"
HEAD = ("figure", "goal", "measured", "met", "absolute", "load", "date")
TEXT = """\
# Benchmarks

Written by `scripts/bench --write`; `scripts/bench NAME --write` renews the rows of one figure.

Each ratio is one of medians in one run, in which both sides take turns, so that a busy machine slows both alike.
Client, gateway, PostgreSQL, MLflow, sshd and Slurm share the machine. The PostgreSQL of the tests flushes nothing, for
both sides; SQLite flushes each commit, for both sides. The load is that of the last minute, before and after the
figure: all that is above what the figure itself makes was other work on the machine.

"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `absolute` are the values that the measured one is made of."""

    name: str
    goal: str
    measured: str
    met: bool | None
    """None where there is no goal."""
    absolute: str

    @classmethod
    def at_most(cls, name: str, most: float | None, value: float, absolute: str, unit: str = "x") -> "Figure":
        """Without `most` it is only printed."""
        if most is None:
            return cls(name, "-", f"{value:.2f}{unit}", None, absolute)
        return cls(name, f"at most {most:g}{unit}", f"{value:.2f}{unit}", value <= most, absolute)

    @classmethod
    def at_least(cls, name: str, least: float | None, value: float, absolute: str) -> "Figure":
        """Without `least` it is only printed."""
        if least is None:
            return cls(name, "-", f"{value:.2f}x", None, absolute)
        return cls(name, f"at least {least:g}x", f"{value:.2f}x", value >= least, absolute)


def load() -> float:
    """Processes that wanted a CPU, mean of the last minute."""
    return os.getloadavg()[0]


def row(figure: Figure, before: float) -> dict[str, str]:
    """A figure as cells; `before` is the load when it began."""
    met = {True: "yes", False: "**no**", None: "-"}[figure.met]
    cells = (figure.name, figure.goal, figure.measured, met, figure.absolute, f"{before:.1f} to {load():.1f}")
    return dict(zip(HEAD, (*cells, f"{datetime.now(UTC):%Y-%m-%d}"), strict=True))


def render(rows: list[dict[str, str]]) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *(tuple(r[name] for name in HEAD) for r in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machine() -> str:
    """What it was measured on, without its name."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = psutil.virtual_memory().total / 2**30
    kind = found[1] if found else platform.machine()
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return f"{os.cpu_count()} CPUs ({kind}), {memory:.0f} GiB, {system}, Python {platform.python_version()}"


def write(rows: list[dict[str, str]]) -> None:
    """Renew the rows of these figures; those that were not measured now stay."""
    kept = {r["figure"]: r for r in _rows(PAGE.read_text())} if PAGE.exists() else {}
    kept |= {r["figure"]: r for r in rows}
    PAGE.write_text(f"{TEXT}Machine: {machine()}.\n\n{render(list(kept.values()))}")


def _rows(text: str) -> list[dict[str, str]]:
    lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [dict(zip(HEAD, cells, strict=True)) for cells in lines[2:]]
