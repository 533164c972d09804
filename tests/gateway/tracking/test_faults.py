"""MLflow hangs, dies and comes back: the gateway answers, in time and in one sentence."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from gateway.db.session import Database
from gateway.tracking import server as module
from gateway.tracking.client import TrackingClient
from gateway.tracking.server import MlflowServer
from tests.gateway.tracking.house import a_home, add_run, application, door, move_in, run_token, tracked_run

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.mlflow
async def test_mlflow_hangs_dies_and_comes_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restart = asyncio.Event()
    monkeypatch.setattr(module, "pause", lambda seconds: restart.wait())
    async with MlflowServer(tmp_path / "mlflow") as server:
        client = TrackingClient(server.uri, seconds=5.0, socket=server.socket)
        app = application(database, client)
        assert await server.ready(), server.log.read_text()
        home = await move_in(database, client, "a")
        run, token = await tracked_run(database, client, home)
        untold = await add_run(database, home)
        first = {"run_id": untold.id.hex, "key": "m", "value": 1.0, "timestamp": 1}
        late = await run_token(database, untold)
        log = ("/api/2.0/mlflow/runs/log-metric", first, {"authorization": f"Bearer {late}"})
        group = server.pid
        assert group is not None
        async with door(app, token) as http:
            ask = http.build_request("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run.id.hex})
            assert (await http.send(ask)).status_code == 200

            os.killpg(group, signal.SIGSTOP)
            client.seconds = 0.5
            app.state.tracking_proxy._desk._seconds = 0.5
            began = time.monotonic()
            hung = await http.send(ask)
            assert time.monotonic() - began < 30
            os.killpg(group, signal.SIGCONT)

            os.killpg(group, signal.SIGKILL)
            dead = await http.send(ask)
            too_early = await http.post(log[0], json=log[1], headers=log[2])
            for answer in (hung, dead, too_early):
                assert answer.status_code == 503
                assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
                assert answer.json()["message"] == "The tracking server does not answer now."
            assert (await http.get("http://gateway/api/v1/openapi.json")).status_code == 200

            restart.set()
            client.seconds = 5.0
            app.state.tracking_proxy._desk._seconds = 5.0
            assert await server.ready()
            assert (await http.send(ask)).status_code == 200
            assert (await http.post(log[0], json=log[1], headers=log[2])).status_code == 200
        assert len(await client.runs_of(home.experiment_id, untold.id)) == 1
        await client.close()


@SQLITE
@pytest.mark.parametrize("path", ["artifacts/7/r/artifacts/x", "artifacts?path=7/r"])
async def test_without_mlflow_every_kind_of_route_says_so(database: Database, path: str) -> None:
    client = TrackingClient("http://127.0.0.1:1")
    home = await a_home(database, mlflow_id="7")
    async with door(application(database, client), home.token) as http:
        answer = await http.get(f"/api/2.0/mlflow-artifacts/{path}")
    assert (answer.status_code, answer.json()["message"]) == (503, "The tracking server does not answer now.")
    await client.close()


@SQLITE
async def test_a_job_is_told_to_wait_while_its_run_is_not_in_mlflow(database: Database) -> None:
    """503 is what MLflow's client repeats; any other answer would end the training."""
    client = TrackingClient("http://127.0.0.1:1")
    token = await run_token(database, await add_run(database, await a_home(database)))
    async with door(application(database, client), token) as http:
        answers = [
            await http.post("/api/2.0/mlflow/runs/create", json={"experiment_id": "0", "start_time": 1}),
            await http.post("/api/2.0/mlflow/runs/search", json={}),
            await http.get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "main"}),
        ]
    assert [answer.status_code for answer in answers] == [503] * 3
    await client.close()


@SQLITE
async def test_bodies_that_mlflow_would_choke_on(database: Database) -> None:
    client = TrackingClient("http://127.0.0.1:1")
    home = await a_home(database, mlflow_id="7")
    async with door(application(database, client), home.token) as http:
        for content, status in (
            (b"[" * 100_000, 400),
            (b"[]", 400),
            (b'"x"', 400),
            (b"\xff", 400),
            (b'{"run_id": 7}', 400),
            (b'{"run_id": "a", "runId": "a"}', 400),
            (b"{}", 400),
            (b'{"x": "' + b"y" * (8 * 2**20) + b'"}', 413),
        ):
            answer = await http.post("/api/2.0/mlflow/runs/update", content=content)
            assert answer.status_code == status, content[:40]
            assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
        packed = await http.post("/api/2.0/mlflow/runs/update", content=b"{}", headers={"content-encoding": "gzip"})
        assert packed.status_code == 400
    await client.close()


@SQLITE
async def test_calls_to_mlflow_are_limited_per_user_and_per_run(database: Database) -> None:
    client = TrackingClient("http://127.0.0.1:1")
    home = await a_home(database, mlflow_id="7")
    token = await run_token(database, await add_run(database, home))
    app = application(database, client, tracking_requests_per_minute=3)
    for who in (home.token, token):
        async with door(app, who) as http:
            answers = [await http.get("/api/2.0/mlflow/runs/get") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [400, 400, 400, 429]
    assert answers[-1].json() == {
        "error_code": "REQUEST_LIMIT_EXCEEDED",
        "message": "Too many requests. Try again in 20 s.",
    }
    assert answers[-1].headers["retry-after"] == "20"
    await client.close()
