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
        installed, finished = _follow(done, begin)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = f"{finished:.0f} s, of which {installed:.0f} s installed packages"
    return [Figure.at_most("`make demo` in a fresh clone, to the finished run", GOAL, finished, text, unit=" s")]


def _follow(process: "subprocess.Popen[bytes]", begin: float) -> tuple[float, float]:
    """Seconds until the packages are there, and until the run has finished."""
    assert process.stdout is not None
    installed = finished = 0.0
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.decode(errors="replace"))
        now = time.monotonic() - begin
        if "Starting a gateway" in lines[-1]:
            installed = now
        # The command line says so when it has followed the log to the end of the run.
        if not finished and re.search(r"\bFINISHED\b|^Finished ", lines[-1]):
            finished = now
    if process.wait() or not finished:
        sys.exit("make demo failed:\n" + "".join(lines[-30:]))
    return installed, finished
