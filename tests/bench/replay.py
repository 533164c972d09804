"""Copying the points of a job's journal into MLflow, against writing them there straight, in batches of 1000.

Both go to the same MLflow, turn by turn, each into a run of its own. The job logged the points one by one, as training
code does, and a batch is as large as MLflow takes it.
"""

import asyncio
import json
import statistics
import time
import uuid
from contextlib import ExitStack

from gateway.db.session import Database
from gateway.migrations import upgrade
from gateway.tracking.alias import alias
from gateway.tracking.client import TrackingClient
from tests.bench.mlflow_server import mlflow_server
from tests.bench.scene import folder, postgres
from tests.bench.table import Figure
from tests.gateway.tracking.beside import Bench
from tests.gateway.tracking.house import Home, move_in

POINTS, SMALL, ROUNDS, GOAL = 100_000, 5_000, 3, 1.3
BATCH = 1000


def measure(*, small: bool = False) -> list[Figure]:
    points, rounds = (SMALL, 1) if small else (POINTS, ROUNDS)
    with ExitStack() as stack:
        mlflow = stack.enter_context(mlflow_server(stack.enter_context(folder()) / "mlflow"))
        url = stack.enter_context(postgres())
        replayed, straight = asyncio.run(_turns(url, mlflow, points, rounds))
    ratio = statistics.median(replayed) / statistics.median(straight)
    text = f"{statistics.median(replayed):.1f} s / {statistics.median(straight):.1f} s, {rounds} x {points} points"
    return [Figure.at_most("copy of what a job tracked / the same points straight into MLflow", GOAL, ratio, text)]


async def _turns(url: str, mlflow: str, points: int, rounds: int) -> tuple[list[float], list[float]]:
    await upgrade(url)
    db, client = Database(url), TrackingClient(mlflow, seconds=60.0)
    replayed, straight = [], []
    try:
        home = await move_in(db, client, "a")
        for _ in range(rounds):
            replayed.append(await _replayed(db, client, home, points))
            straight.append(await _straight(client, home, points))
    finally:
        await client.close()
        await db.close()
    return replayed, straight


def _point(step: int) -> dict[str, object]:
    return {"key": f"metric {step % 10}", "value": step / 7, "timestamp": 1_790_000_000_000 + step, "step": step // 10}


async def _replayed(db: Database, client: TrackingClient, home: Home, points: int) -> float:
    bench = await Bench.of(db, client, home)
    own = alias(bench.run.id)
    entry = {"op": "call", "method": "POST", "route": "runs/log-metric"}
    lines = [json.dumps({**entry, "body": {"run_id": own, **_point(step)}}) for step in range(points)]
    journal = "\n".join([*lines, '{"op":"end"}', ""]).encode()
    bench.site.runs[str(bench.run.id)].write("1/tracking/journal", journal)
    await bench.ended()
    began = time.perf_counter()
    done = await bench.look()
    seconds = time.perf_counter() - began
    assert (done.due_at, done.refused, done.position) == (None, 0, len(journal))
    return seconds


async def _straight(client: TrackingClient, home: Home, points: int) -> float:
    body = {"experiment_id": home.experiment_id, "run_name": uuid.uuid4().hex, "start_time": 1}
    run_id = (await client.call("POST", "runs/create", body))["run"]["info"]["run_id"]
    began = time.perf_counter()
    for start in range(0, points, BATCH):
        batch = [_point(step) for step in range(start, start + BATCH)]
        await client.call("POST", "runs/log-batch", {"run_id": run_id, "metrics": batch})
    return time.perf_counter() - began
