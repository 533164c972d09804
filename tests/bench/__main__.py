"""python -m tests.bench [NAME...] [--small] [--write]"""

import argparse
import signal
import sys
from importlib import import_module

from tests.bench.table import Figure, load, render, row, write

NAMES = (
    "cli_start",
    "accept",
    "submissions",
    "live_runs",
    "demo",
    "cron",
    "schedules",
    "replay",
    "unicore",
    "unicore_crashes",
)
"""Modules beside this one; each has `measure(small) -> list[Figure]`."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure; print ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)}; all by default")
    parser.add_argument("--small", action="store_true", help="few rounds: does it work at all")
    parser.add_argument("--write", action="store_true", help="keep the table in docs/reference/benchmarks.md")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    rows: list[dict[str, str]] = []
    for name in asked.names or NAMES:
        before = load()
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures: list[Figure] = import_module(f"tests.bench.{name}").measure(small=asked.small)
        rows += [row(figure, before) for figure in figures]
        if asked.write:
            write(rows)
    print(render(rows), end="")
    missed = [r["figure"] for r in rows if r["met"] == "**no**"]
    if missed:
        print(f"\nGoals missed: {'; '.join(missed)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
