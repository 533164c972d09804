"""`mantik serve` that writes down which commands each tick of its poller sends to the site.

python -m tests.bench.counted_gateway FILE      one line per tick: {"jobs": 500, "squeue": 1, ...}
"""

import json
import sys
from collections import Counter
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any

from backends.host.shell import Completed
from backends.slurm.ssh.shell import SshShell
from gateway.db.lease import NamedLease
from gateway.engine.poller import Poller
from gateway.serve import serve
from gateway.settings import load

FILE = Path(sys.argv[1])
_counted: ContextVar[Counter[str] | None] = ContextVar("counted", default=None)
_tick = Poller.tick


class CountingShell(SshShell):
    """Passes everything on. Scheduler's commands are counted by their name, others by the verb of the entry script."""

    async def run(self, verb: str, *words: str, stdin: bytes = b"", time_limit: float = 60) -> Completed:
        counted = _counted.get()
        if counted is not None:
            programs = {"squeue", "sacct"} & set(words)
            counted[programs.pop() if programs else verb] += 1
            if verb == "evidence":
                counted["jobs"] += stdin.count(b"\n")
        return await super().run(verb, *words, stdin=stdin, time_limit=time_limit)


async def counting_tick(self: Poller, lease: NamedLease) -> Any:
    counted: Counter[str] = Counter()
    _counted.set(counted)
    try:
        return await _tick(self, lease)
    finally:
        _write(json.dumps(counted))


def _write(line: str) -> None:
    with FILE.open("a") as file:
        file.write(f"{line}\n")


if __name__ == "__main__":
    # By its name: the package has an object of the same name.
    vars(import_module("backends.slurm.kind"))["SshShell"] = CountingShell
    Poller.tick = counting_tick  # type: ignore[method-assign]
    serve(load())
