"""From `make demo` in a fresh clone to its finished run. Nothing that pip or uv kept from earlier installs is used."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.table import Figure

HERE = Path(__file__).parents[2]
GOAL = 120


def measure(*, small: bool = False) -> list[Figure]:
    """What is committed is measured, once, however small."""
    folder = Path(tempfile.mkdtemp(prefix="mantik-bench-demo-", dir="/var/tmp"))
    try:
        clone = folder / "clone"
        subprocess.run(["git", "clone", "--quiet", HERE.as_uri(), str(clone)], check=True)
        caches = {"UV_CACHE_DIR": str(folder / "uv"), "PIP_NO_CACHE_DIR": "1"}
        inside = ("VIRTUAL_ENV", "PYTHONPATH", "PORT", "KEEP", "DEMO_BEGAN")
        environment = {k: v for k, v in os.environ.items() if k not in inside} | caches
        begin = time.monotonic()
        command = ["make", "--no-print-directory", "demo"]
        done = subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        steps, finished = _follow(done, begin)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = ", ".join(f"{seconds:.0f} s {name}" for name, seconds in steps.items())
    return [Figure.at_most("`make demo` in a fresh clone, to the finished run", GOAL, finished, text, unit=" s")]


def _follow(process: "subprocess.Popen[bytes]", begin: float) -> tuple[dict[str, float], float]:
    """Seconds of each step by its heading, and until the run has finished."""
    assert process.stdout is not None
    heading, since, finished = "installation", 0.0, 0.0
    steps: dict[str, float] = {}
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.decode(errors="replace"))
        now = time.monotonic() - begin
        if finished:
            continue
        # The command line says so when it has followed the log to the end of the run.
        ended = "is FINISHED" in lines[-1]
        if (bold := re.match(r"\x1b\[1m([^:,\x1b]*)", lines[-1])) or ended:
            steps[heading] = now - since
            heading, since = (bold[1] if bold else ""), now
        finished = now if ended else 0.0
    if process.wait() or not finished:
        sys.exit("make demo failed:\n" + "".join(lines[-30:]))
    return steps, finished
