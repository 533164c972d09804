"""Over a real UNICORE/X 11: submissions per second, a sweep over live runs, and the first screen of a large log.

Submissions are counted from accepted to the job's URL stored, with PostgreSQL and without tracking, as those to Slurm
are. The raw loop makes the same calls with the same files: as many jobs on their way as the engine has long steps at
once, over as many connections. Each round has a new gateway and a server without jobs of the round before.
"""

import asyncio
import hashlib
import inspect
import io
import os
import statistics
import tarfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from backends.backend import Backend
from backends.spec import Handle, JobRef
from backends.unicore import watch
from gateway.engine.engine import Engine
from tests.bench.scene import UNLIMITED, folder, milliseconds, nowhere, postgres
from tests.bench.submissions import hold_file, seconds_of_all, seconds_to_submit
from tests.bench.table import Figure
from tests.bench.unicore_scene import PLACES, RawClient, UnicoreDesk, raw_client, server
from tests.contract.test_unicore import UnicoreCase
from tests.site_fixtures import UnicoreSite
from tests.whole.gateway_process import GatewayProcess
from tests.whole.workshop import Workshop, make_repository

RUNS, ROUNDS = 200, 3
SWEEPS, RUNNING = 9, 32
"""Of the live runs that are swept, so many run; the others wait."""
READS = 40
SCREEN = 64 << 10
GIGABYTE, KILOBYTE = 1 << 30, 1 << 10
IN_FLIGHT: int = inspect.signature(Engine).parameters["long_at_once"].default
MLPROJECT = "name: bench\nentry_points:\n  main:\n    command: sleep 1800\n"


def measure(*, small: bool = False) -> list[Figure]:
    runs, rounds = (12, 1) if small else (RUNS, ROUNDS)
    with folder() as here, server("11-bench") as there:
        followed = asyncio.run(_followed(here, there, runs, 3 if small else SWEEPS, 3 if small else RUNNING))
        rates = _submissions(here, there, runs, rounds)
    how = f"{rounds} x {runs} runs, {IN_FLIGHT} at once"
    blind = "create, wait, upload and start alone, no look at what arrived"
    return [_rate(rates, "raw", "the same calls", 0.7, how), _rate(rates, "blind", blind, None, how), *followed]


# ------------------------------------------------------------------ submissions


def _submissions(here: Path, there: UnicoreSite, runs: int, rounds: int) -> dict[str, list[float]]:
    """Runs per second of each side. All places of the server are taken, so that no job of a run takes the CPU."""
    rates: dict[str, list[float]] = {"raw": [], "blind": [], "gateway": []}
    for n in range(rounds):
        with postgres() as url, _desk(here / f"round-{n}", there, url) as desk:
            desk.warm_up()
            rates["gateway"].append(runs / asyncio.run(seconds_to_submit(desk, url, runs, False, True)))
            body, files = desk.description(), _files(desk)
        for side in ("raw", "blind"):
            asyncio.run(_remove(there))
            rates[side].append(runs / asyncio.run(_raw(there, body, files, runs, blindly=side == "blind")))
        asyncio.run(_remove(there))
    return rates


def _rate(rates: Mapping[str, Sequence[float]], side: str, calls: str, least: float | None, how: str) -> Figure:
    ours, raw = (statistics.median(rates[one]) for one in ("gateway", side))
    name = f"submissions per second over UNICORE without tracking / {calls} in a raw httpx loop"
    return Figure.at_least(name, least, ours / raw, f"{ours:.1f}/s / {raw:.1f}/s, {how}")


@contextmanager
def _desk(data: Path, there: UnicoreSite, database: str) -> Iterator[UnicoreDesk]:
    gateway = GatewayProcess(data, **UNLIMITED, MANTIK_TRACKING_URI=nowhere(), MANTIK_DATABASE_URL=database)
    gateway.command = ("-m", "tests.bench.held_gateway", str(hold_file(data)))
    with ExitStack() as stack:
        stack.callback(gateway.stop)
        gateway.start(tracking=False)
        code = data.with_name(f"{data.name}-code")
        repository = make_repository(code, {"MLproject": MLPROJECT, "train.py": "print('hello')\n" * 200})
        yield UnicoreDesk(Workshop(gateway, repository), there)


def _files(desk: UnicoreDesk) -> Mapping[str, bytes]:
    """What one submission of the gateway brings to the site, but for the ticket."""
    code, out = Path(f"{desk.gateway.data}-code"), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name in ("MLproject", "train.py"):
            tar.add(code / name, name)
    archive = f"code-{hashlib.sha256(out.getvalue()).hexdigest()}.tar.gz"
    script = desk.preview()["script"].encode()
    return {"job.sh": script, "env": b"export A=b\n" * 10, archive: out.getvalue()}


async def _remove(there: UnicoreSite) -> None:
    async with raw_client(there) as raw:
        await raw.remove_waiting()


async def _raw(
    there: UnicoreSite, body: Mapping[str, object], files: Mapping[str, bytes], runs: int, *, blindly: bool
) -> float:
    async with raw_client(there) as raw:
        await raw.submit(body, files, blindly=blindly)

        async def submit() -> None:
            await raw.submit(body, files, blindly=blindly)

        return await seconds_of_all(submit, runs, IN_FLIGHT)


# ------------------------------------------------------------------ what is followed


async def _followed(here: Path, there: UnicoreSite, runs: int, sweeps: int, running: int) -> list[Figure]:
    case = UnicoreCase(here, there)
    async with case.open() as backend, raw_client(there) as raw:
        work = await asyncio.gather(*(case.started(backend, Sleeps()) for _ in range(running)))
        for ref in work:
            await case.running(backend, ref)
        await raw.fill_places(PLACES - running)
        waiting = await asyncio.gather(*(case.started(backend, Sleeps()) for _ in range(runs - running)))
        sweep = await _sweep(backend, raw, [*work, *waiting], sweeps)
        screen = await _first_screen(case, backend, work)
        await raw.remove_waiting()
        return [sweep, screen]


@dataclass(frozen=True, slots=True)
class Sleeps:
    """Longer than the figures take."""

    def shell(self) -> str:
        return "echo begun; sleep 3600"


async def _sweep(backend: Backend, raw: RawClient, refs: Sequence[JobRef], sweeps: int) -> Figure:
    """Of all jobs, as when each has just shown something new. Neither side's first rounds count: both jobs' files and
    status are then looked at."""

    async def ours() -> None:
        await backend.poll(refs)

    async def theirs() -> None:
        await asyncio.gather(*(raw.look(ref.id) for ref in refs))

    with patch.dict(watch.PACES, dict.fromkeys(watch.PACES, (0.0, timedelta()))):
        taken = await _in_turn({"sweep": ours, "gets": theirs}, sweeps, not_counted=3)
    name = f"one sweep over {len(refs)} live runs of UNICORE / as many raw GETs of a job's status"
    words = f"{milliseconds(taken['sweep'])} / {milliseconds(taken['gets'])}, {sweeps} sweeps"
    return Figure.at_most(name, 1.2, taken["sweep"] / taken["gets"], words)


async def _first_screen(case: UnicoreCase, backend: Backend, work: Sequence[JobRef]) -> Figure:
    """Both logs are of jobs that run."""
    small, large = (ref.handle for ref in work[:2])
    for handle, size in ((small, KILOBYTE), (large, GIGABYTE)):
        os.truncate(case.directory(handle) / "mantik.log", size)

    def first(handle: Handle, size: int) -> Callable[[], Awaitable[None]]:
        async def read() -> None:
            assert len(await backend.read(handle, "mantik.log", 0, SCREEN)) == min(size, SCREEN)

        return read

    taken = await _in_turn({"large": first(large, GIGABYTE), "small": first(small, KILOBYTE)}, READS, not_counted=3)
    name = "first screen (64 KiB) of a 1 GB log on UNICORE / all of a 1 KB log"
    words = f"{milliseconds(taken['large'])} / {milliseconds(taken['small'])}, {READS} reads"
    return Figure.at_most(name, 2, taken["large"] / taken["small"], words)


async def _in_turn(
    sides: Mapping[str, Callable[[], Awaitable[None]]], rounds: int, *, not_counted: int
) -> dict[str, float]:
    """Median seconds of each side."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for n in range(-not_counted, rounds):
        for name, act in sides.items():
            begin = time.perf_counter()
            await act()
            if n >= 0:
                taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in taken.items()}
