"""500 live runs on one connection: what a tick of the poller asks the site, and the memory of the gateway's process.

The memory is that of the process alone: its MLflow server and the reader of MLproject files are processes of their own.
"""

import asyncio
import json
import statistics
import time
from pathlib import Path

import psutil

from tests.bench.scene import Desk, HeldQueue, desk, folder, held_queue, nowhere, postgres
from tests.bench.table import Figure
from tests.whole.gateway_process import wait_for

RUNS = 500
ENDED = 25
TICKS = 3


def measure(*, small: bool = False) -> list[Figure]:
    runs = 12 if small else RUNS
    with folder() as here, held_queue() as queue, postgres() as url:
        ticks = here / "ticks"
        counted = ("-m", "tests.bench.counted_gateway", str(ticks))
        options = {"MANTIK_DATABASE_URL": url}
        with desk(here / "gateway", queue, tracking_uri=nowhere(), command=counted, **options) as there:
            there.warm_up()
            empty = _megabytes(there)
            asyncio.run(there.burst(runs - 4))
            _wait_until_queued(there, runs)
            quiet = _ticks(ticks, runs, TICKS)
            full = _megabytes(there)
            ended = min(ENDED, runs // 4)
            _end_some(there, queue, ended)
            busy = _ticks(ticks, runs, 1)
        return [*_queries(runs, quiet, ended, busy), _memory(runs, empty, full)]


def _queries(runs: int, quiet: list[dict[str, int]], ended: int, busy: list[dict[str, int]]) -> list[Figure]:
    found = []
    for what, ticks in ((f"{runs} jobs wait", quiet), (f"{ended} of {runs} jobs have ended", busy)):
        squeue, sacct = (max(t.get(name, 0) for t in ticks) for name in ("squeue", "sacct"))
        others = {k: v for k, v in ticks[-1].items() if k not in ("squeue", "sacct", "jobs")}
        beside = ", ".join(f"{v} {k}" for k, v in others.items())
        ok = squeue == 1 and sacct <= 1
        asked = f"{squeue} squeue + {sacct} sacct"
        goal = "1 squeue + at most 1 sacct"
        found.append(Figure(f"site queries per tick, {what}", goal, asked, ok, f"beside them: {beside}"))
    return found


def _memory(runs: int, empty: float, full: float) -> Figure:
    absolute = f"{full:.0f} MB / {empty:.0f} MB"
    return Figure.at_most(
        f"memory of the gateway's process with {runs} live runs / with 4", None, full / empty, absolute
    )


def _wait_until_queued(there: Desk, runs: int) -> None:
    path = there.workshop.path("runs")

    def queued() -> bool:
        states: list[str] = []
        cursor = None
        while True:
            page = there.gateway.call("GET", path, limit=500, **({"cursor": cursor} if cursor else {}))
            states += [r["state"] for r in page["items"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
        time.sleep(1)
        return states.count("QUEUED") == runs

    wait_for(queued, 300)


def _ticks(file: Path, jobs: int, count: int) -> list[dict[str, int]]:
    """The next ticks over all of the jobs."""
    before = len(file.read_text().splitlines()) if file.exists() else 0

    def found() -> list[dict[str, int]]:
        lines = [json.loads(line) for line in file.read_text().splitlines()[before:]]
        return [line for line in lines if line.get("jobs", 0) == jobs]

    wait_for(lambda: len(found()) >= count, 300)
    return found()[:count]


def _end_some(there: Desk, queue: HeldQueue, count: int) -> None:
    """Jobs that leave the queue, so that the accounting is asked as well."""
    shown = queue.there.run("squeue", "--noheader", "--partition", queue.name, "--format=%i").split()
    queue.there.run("scancel", *shown[:count])


def _megabytes(there: Desk) -> float:
    assert there.gateway.process is not None
    process = psutil.Process(there.gateway.process.pid)
    samples = []
    for _ in range(5):
        samples.append(process.memory_info().rss / 2**20)
        time.sleep(0.2)
    return statistics.median(samples)
