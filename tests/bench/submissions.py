"""Runs per second from accepted to the job id stored, over the real Slurm by SSH, with PostgreSQL.

The runs are accepted while the engine is held, as what it takes to accept one is a figure of its own; then the engine
goes. Beside it stands the rate from the first request on, which the raw sides have nothing like.
The raw sides: the same payload (mkdir, untar, sbatch) over one kept SSH connection with as many commands in flight as
the gateway has, and MLflow's `runs/create` with eight in flight. Both gateways use the server that the raw side uses.
The queue takes jobs and starts none. Only one side has the machine at a time: the other gateway is stopped meanwhile.
"""

import asyncio
import io
import signal
import statistics
import tarfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from backends.slurm.ssh.channels import AT_MOST as IN_FLIGHT
from tests.bench.mlflow_server import mlflow_server
from tests.bench.scene import Desk, HeldQueue, desk, folder, held_queue, nowhere, postgres
from tests.bench.table import Figure

RUNS, ROUNDS = 200, 3
CALLERS = 8
"""Clients of MLflow and of the gateway."""
WHOLE = "from the first request"


def measure(*, small: bool = False) -> list[Figure]:
    runs, rounds = (12, 1) if small else (RUNS, ROUNDS)
    with ExitStack() as stack:
        queue, here = stack.enter_context(held_queue()), stack.enter_context(folder())
        databases = {name: stack.enter_context(postgres()) for name in ("plain", "tracked")}
        mlflow = stack.enter_context(mlflow_server(here / "mlflow"))
        tracking = {"plain": nowhere(), "tracked": mlflow}
        desks = {}
        for name, url in databases.items():
            held = ("-m", "tests.bench.held_gateway", str(hold_file(here / name)))
            there = desk(here / name, queue, tracking_uri=tracking[name], command=held, MANTIK_DATABASE_URL=url)
            desks[name] = stack.enter_context(there)
            desks[name].warm_up()
        payload = _payload(desks["plain"])
        sides: dict[str, Callable[[], float]] = {
            "ssh": lambda: asyncio.run(_raw_ssh(queue, payload, runs)),
            "plain": lambda: _gateway(desks["plain"], databases["plain"], runs),
            "mlflow": lambda: asyncio.run(_raw_mlflow(mlflow, runs)),
            "tracked": lambda: _gateway(desks["tracked"], databases["tracked"], runs, wait_for_tracking=True),
        }
        with _stopped(desks.values()):
            taken: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(rounds):
                for name, side in sides.items():
                    taken[name].append(runs / side())
            # At last, so that both gateways have as many live runs in each round before.
            taken[WHOLE] = [runs / _gateway(desks["plain"], databases["plain"], runs, accepted_first=False)]
    return _figures({name: statistics.median(values) for name, values in taken.items()}, f"{rounds} x {runs} runs")


def _figures(per_second: dict[str, float], how: str) -> list[Figure]:
    def words(one: str, other: str) -> str:
        return f"{per_second[one]:.1f}/s / {per_second[other]:.1f}/s, {how}"

    slower = min("ssh", "mlflow", key=per_second.__getitem__)
    names = {"ssh": "the same payload raw over SSH", "mlflow": "raw MLflow runs/create"}
    return [
        Figure.at_least(
            f"submissions per second without tracking / {names['ssh']}",
            0.5,
            per_second["plain"] / per_second["ssh"],
            words("plain", "ssh"),
        ),
        Figure.at_least(
            "submissions per second / the slower of raw SSH and raw MLflow",
            0.7,
            per_second["tracked"] / per_second[slower],
            f"{words('tracked', slower)}, slower: {names[slower]}",
        ),
        Figure.at_least(
            f"runs per second from the first request on, without tracking / {names['ssh']}",
            None,
            per_second[WHOLE] / per_second["ssh"],
            words(WHOLE, "ssh"),
        ),
    ]


# ------------------------------------------------------------------ the gateway


def _gateway(
    there: Desk, url: str, runs: int, *, wait_for_tracking: bool = False, accepted_first: bool = True
) -> float:
    _signal(there, signal.SIGCONT)
    taken = asyncio.run(seconds_to_submit(there, url, runs, wait_for_tracking, accepted_first))
    _signal(there, signal.SIGSTOP)
    return taken


async def seconds_to_submit(there: Desk, url: str, runs: int, wait_for_tracking: bool, accepted_first: bool) -> float:
    """Seconds from accepted, or from the first request, to the last job id stored."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    hold = hold_file(there.gateway.data)
    async with engine.connect() as database:

        async def count(query: str) -> int:
            return int((await database.execute(text(query))).scalar_one())

        before = await count("SELECT count(*) FROM jobs")
        if accepted_first:
            hold.touch()
            await there.burst(runs, CALLERS)
        begin = time.perf_counter()
        hold.unlink(missing_ok=True)
        sending = asyncio.create_task(there.burst(0 if accepted_first else runs, CALLERS))
        while await count("SELECT count(*) FROM jobs") < before + runs:
            assert time.perf_counter() - begin < 600, "the gateway submits nothing more"
            await asyncio.sleep(0.03)
        taken = time.perf_counter() - begin
        await sending
        # What MLflow is told later must not slow the side that comes next.
        behind = "SELECT count(*) FROM runs WHERE tracking_due_at IS NOT NULL"
        while wait_for_tracking and await count(behind):  # noqa: ASYNC110  another process: no event to wait for
            await asyncio.sleep(0.2)
    await engine.dispose()
    return taken


def hold_file(data: Path) -> Path:
    """While this file is there the engine of that gateway takes no run."""
    return data.with_name(f"{data.name}-hold")


@contextmanager
def _stopped(desks: Any) -> Iterator[None]:
    """A gateway whose turn it is not takes no part of the machine."""
    for there in desks:
        _signal(there, signal.SIGSTOP)
    try:
        yield
    finally:
        for there in desks:
            _signal(there, signal.SIGCONT)


def _signal(there: Desk, number: int) -> None:
    assert there.gateway.process is not None
    there.gateway.process.send_signal(number)


# ------------------------------------------------------------------ the raw loops


def _payload(there: Desk) -> bytes:
    """What one submission of the gateway brings to the site: the code, the very script, and an environment file."""
    script = there.preview()["script"].encode()
    code = Path(f"{there.gateway.data}-code")
    files = {f"code/{name}": (code / name).read_bytes() for name in ("MLproject", "train.py")}
    files |= {"job.sh": script, "env": b"export A=b\n" * 10, "submit": b"sbatch\n"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


async def _raw_ssh(queue: HeldQueue, payload: bytes, runs: int) -> float:
    there = queue.there
    known = asyncssh.import_known_hosts("".join(f"{there.ssh_host} {key}\n" for key in there.host_keys))
    where = {"host": there.ssh_host, "port": there.ssh_port, "username": there.user}
    async with asyncssh.connect(**where, client_keys=[there.private_key], known_hosts=known, config=None) as connection:

        async def submit() -> None:
            name = f"bench-{uuid.uuid4()}"
            place = f'"$SCRATCH/$USER/bench/{name}"'
            command = f"mkdir -p {place} && cd {place} && tar -xzf - && sbatch --parsable --job-name={name} job.sh"
            done = await connection.run(command, input=payload, encoding=None, check=True)
            assert int(str(done.stdout.decode()).strip()) > 0

        await submit()
        return await seconds_of_all(submit, runs, IN_FLIGHT)


async def _raw_mlflow(uri: str, runs: int) -> float:
    async with httpx.AsyncClient(base_url=f"{uri}/api/2.0/mlflow/", timeout=60, trust_env=False) as http:
        made = await http.post("experiments/create", json={"name": f"raw-{uuid.uuid4()}"})
        experiment = made.raise_for_status().json()["experiment_id"]

        async def create() -> None:
            body = {"experiment_id": experiment, "run_name": "a run", "start_time": int(time.time() * 1000)}
            body["tags"] = [{"key": "mlflow.user", "value": "bench"}]
            (await http.post("runs/create", json=body)).raise_for_status()

        await create()
        return await seconds_of_all(create, runs, CALLERS)


async def seconds_of_all(act: Callable[[], Awaitable[None]], times: int, at_once: int) -> float:
    left = iter(range(times))

    async def worker() -> None:
        for _ in left:
            await act()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    return time.perf_counter() - begin
