"""Accepting a run, against a bare FastAPI endpoint with one INSERT into the same kind of database.

The engine runs: each accepted run goes on to the real Slurm, into a queue that starts nothing, and the next request
comes when it is there. `busy`: the next one comes at once, while the engine submits those before.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.bench.scene import Desk, desk, folder, free_port, held_queue, milliseconds, nowhere, postgres
from tests.bench.table import Figure
from tests.whole.gateway_process import wait_for

GOAL = 4
IDLE, BUSY = 60, 300


def measure(*, small: bool = False) -> list[Figure]:
    found: list[Figure] = []
    with ExitStack() as stack:
        queue, here = stack.enter_context(held_queue()), stack.enter_context(folder())
        urls = {
            "PostgreSQL": stack.enter_context(postgres()),
            "SQLite": f"sqlite+aiosqlite:///{here / 'gateway.db'}",
        }
        bare_urls = {
            "PostgreSQL": stack.enter_context(postgres()),
            "SQLite": f"sqlite+aiosqlite:///{here / 'bare.db'}",
        }
        for name, url in urls.items():
            with (
                _bare(bare_urls[name]) as bare,
                desk(here / name, queue, tracking_uri=nowhere(), MANTIK_DATABASE_URL=url) as there,
            ):
                there.warm_up()
                found += _figures(name, there, bare, 3 if small else IDLE, 5 if small else BUSY)
            queue.clear()
    return found


def _figures(database: str, there: Desk, bare: str, idle: int, busy: int) -> list[Figure]:
    with httpx.Client(timeout=60, headers=there.headers, trust_env=False) as http:

        def accept() -> str:
            answer = http.post(there.url, json=there.body)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["runId"])

        def insert() -> str:
            answer = http.post(f"{bare}/rows", json=there.body)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

        for _ in range(5):
            insert()
        return [
            _figure(f"accept a run, p50, {database}", GOAL, accept, insert, idle, there.until_queued),
            _figure(f"accept a run, p50, {database}, engine busy", None, accept, insert, busy),
        ]


def _figure(
    name: str,
    most: float | None,
    accept: Callable[[], str],
    insert: Callable[[], str],
    rounds: int,
    then: Callable[[str], None] = str,
) -> Figure:
    ours, bares = [], []
    for _ in range(rounds):
        taken, run_id = _timed(accept)
        ours.append(taken)
        then(run_id)
        bares.append(_timed(insert)[0])
    one, other = statistics.median(ours), statistics.median(bares)
    text = f"{milliseconds(one)} / {milliseconds(other)}, {rounds} each"
    return Figure.at_most(f"{name} / bare FastAPI with one INSERT", most, one / other, text)


def _timed(act: Callable[[], str]) -> tuple[float, str]:
    begin = time.perf_counter()
    answer = act()
    return time.perf_counter() - begin, answer


@contextmanager
def _bare(url: str) -> Iterator[str]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tests.bench.bare_endpoint", url, str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        wait_for(lambda: _answers(address), 30)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/openapi.json", trust_env=False).is_success
    except httpx.TransportError:
        return False
