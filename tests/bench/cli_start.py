"""How long `mantik --help` and the client's import take, as ratios of medians in one run.

python tests/bench/cli_start.py
"""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 10


def seconds(command: Sequence[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def medians(commands: Sequence[Sequence[str]]) -> list[float]:
    """Taken in turns, so that a busy machine slows all alike; the first round warms up."""
    rounds = [[seconds(command) for command in commands] for _ in range(ROUNDS + 1)][1:]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def main() -> None:
    beside = Path(sys.executable).with_name("mantik")
    mantik = str(beside) if beside.exists() else shutil.which("mantik")
    if mantik is None:
        sys.exit("mantik is not installed in this environment.")
    python = [sys.executable, "-c"]
    bare, front, httpx, client = medians(
        [[*python, "pass"], [mantik, "--help"], [*python, "import httpx"], [*python, "import gateway.client"]]
    )
    print("| measured | ratio | at most |")
    print("|---|---|---|")
    print(f"| `mantik --help` / `python -c pass` | {front / bare:.1f} | 8 |")
    print(f"| `import gateway.client` / `import httpx` | {client / httpx:.1f} | 4 |")


if __name__ == "__main__":
    main()
