"""What a figure is measured on: folders, databases, the real Slurm with a queue that starts nothing, live gateways."""

import asyncio
import json
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from tests.site_fixtures import SlurmSite
from tests.site_fixtures import running as site
from tests.whole.gateway_process import GatewayProcess
from tests.whole.workshop import Workshop, make_repository

MLPROJECT = """\
name: bench
entry_points:
  main:
    parameters:
      epochs: {type: float, default: 10}
      rate: {type: float, default: 0.1}
    command: "python train.py --epochs {epochs} --rate {rate}"
"""
UNLIMITED = {
    "MANTIK_REQUESTS_PER_MINUTE": "1000000",
    "MANTIK_MAX_LIVE_RUNS_PER_USER": "100000",
    "MANTIK_MAX_LIVE_RUNS_PER_PROJECT": "100000",
}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def nowhere() -> str:
    """A URL where nothing listens: what is measured without tracking."""
    return f"http://127.0.0.1:{free_port()}"


@contextmanager
def folder() -> Iterator[Path]:
    """Not below /tmp, which the cluster's users may be unable to enter."""
    path = Path(tempfile.mkdtemp(prefix="mantik-bench-", dir="/var/tmp"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """URL of an empty database on the PostgreSQL of the tests."""
    with site("postgres") as settings:
        server = settings.strip().splitlines()[-1]
        name = f"mantik_bench_{secrets.token_hex(6)}"
        asyncio.run(_command(server, f"CREATE DATABASE {name}"))
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            asyncio.run(_command(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _command(server: str, statement: str) -> None:
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@dataclass(frozen=True, slots=True)
class HeldQueue:
    """The real Slurm, and a queue of it that takes jobs and starts none: they would compete for the CPUs."""

    there: SlurmSite
    name: str

    def clear(self) -> None:
        self.there.run("scancel", "--partition", self.name)


@contextmanager
def held_queue() -> Iterator[HeldQueue]:
    with site("slurm") as settings:
        known = {field.name for field in fields(SlurmSite)}
        there = SlurmSite(**{name: value for name, value in json.loads(settings).items() if name in known})
        queue = HeldQueue(there, f"held-{secrets.token_hex(3)}")
        words = (f"partition={queue.name}", "nodes=ALL", "state=down", "maxtime=24:00:00")
        there.run("scontrol", "create", *words)
        try:
            yield queue
        finally:
            queue.clear()
            time.sleep(1)
            there.run("scontrol", "delete", f"partition={queue.name}")


class Desk:
    """A live gateway with one project and a connection to the held queue, and what a user sends it."""

    def __init__(self, workshop: Workshop, queue: HeldQueue) -> None:
        self.gateway = workshop.gateway
        self.workshop = workshop
        # The polls of a site on its defaults.
        site_id = workshop.add_site("held", queue.there, pollSecondsMin=2.0, pollSecondsMax=60.0)
        self.connection = workshop.connect("held", site_id, queue.there.private_key)
        where = {"Hostname": queue.there.ssh_host, "Port": queue.there.ssh_port}
        asked = {"Queue": queue.name, "Runtime": "5m", "TasksPerNode": 1}
        self.body = workshop.request(
            connectionId=self.connection,
            computeBudgetAccount="budget-a",
            mlflowParameters={"epochs": 20, "rate": 0.5},
            backendConfig={"SSH": where, "Resources": asked},
        )

    @property
    def url(self) -> str:
        return f"{self.gateway.url}/api/v1{self.workshop.path('runs')}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": self.gateway.http.headers["Authorization"]}

    def warm_up(self) -> None:
        """Once the whole way: SSH login, code on the site, MLproject read, database connections open."""
        for _ in range(4):
            self.until_queued(self.submit())

    def submit(self) -> str:
        return str(self.gateway.call("POST", self.workshop.path("runs"), self.body)["runId"])

    def until_queued(self, run_id: str) -> None:
        self.workshop.until(run_id, "QUEUED", seconds=120)

    def preview(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.gateway.call("POST", self.workshop.path("runs"), self.body, dryRun=True)
        return shown

    async def burst(self, count: int, at_once: int = 8) -> None:
        """So many runs, as clients that submit side by side."""
        left = iter(range(count))

        async def client(http: httpx.AsyncClient) -> None:
            for _ in left:
                answer = await http.post(self.url, json=self.body, headers=self.headers)
                assert answer.status_code == 202, answer.text

        async with httpx.AsyncClient(timeout=60, trust_env=False) as http, asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(client(http))


@contextmanager
def desk(
    data: Path,
    queue: HeldQueue,
    *,
    tracking_uri: str | None = None,
    command: tuple[str, ...] = (),
    **settings: str,
) -> Iterator[Desk]:
    """`tracking_uri` None: with its own MLflow. `command`, arguments of Python, replaces `mantik serve`."""
    with ExitStack() as stack:
        tracking = {"MANTIK_TRACKING_URI": tracking_uri} if tracking_uri else {}
        gateway = GatewayProcess(data, **UNLIMITED, **tracking, **settings)
        if command:
            gateway.command = command
        stack.callback(gateway.stop)
        gateway.start(tracking=tracking_uri is None)
        code = data.with_name(f"{data.name}-code")
        repository = make_repository(code, {"MLproject": MLPROJECT, "train.py": "print('hello')\n" * 200})
        yield Desk(Workshop(gateway, repository), queue)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
