"""How long `mantik --help` and the client's import take."""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.table import Figure

ROUNDS = 20


def seconds(command: Sequence[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def medians(commands: Sequence[Sequence[str]], rounds: int) -> list[float]:
    """Taken in turns; the first round warms up."""
    taken = [[seconds(command) for command in commands] for _ in range(rounds + 1)][1:]
    return [statistics.median(times) for times in zip(*taken, strict=True)]


def measure(*, small: bool = False) -> list[Figure]:
    beside = Path(sys.executable).with_name("mantik")
    mantik = str(beside) if beside.exists() else shutil.which("mantik")
    if mantik is None:
        sys.exit("mantik is not installed in this environment.")
    python = [sys.executable, "-c"]
    commands = [[*python, "pass"], [mantik, "--help"], [*python, "import httpx"], [*python, "import gateway.client"]]
    bare, front, httpx, client = (s * 1000 for s in medians(commands, 2 if small else ROUNDS))
    return [
        Figure.at_most("`mantik --help` / `python -c pass`", 8, front / bare, f"{front:.0f} ms / {bare:.0f} ms"),
        Figure.at_most(
            "`import gateway.client` / `import httpx`", 4, client / httpx, f"{client:.0f} ms / {httpx:.0f} ms"
        ),
    ]
