"""The real MLflow client through the proxy to the real MLflow server."""

from datetime import timedelta

import pytest

from gateway import clock
from gateway.runs.rows import Run
from gateway.tracking.client import TrackingClient
from tests.gateway.tracking.conftest import House
from tests.gateway.tracking.house import add_run, door, run_program, run_token, served, tracked_run

pytestmark = [pytest.mark.mlflow, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]


async def test_a_job_logs_everything_with_its_run_token(house: House) -> None:
    run, token = await tracked_run(house.db, house.client, house.a)
    assert run.mlflow_run_id is not None
    async with served(house.app) as uri:
        told = await run_program(
            "train.py",
            MLFLOW_TRACKING_URI=uri,
            MLFLOW_TRACKING_TOKEN=token,
            MLFLOW_RUN_ID=run.mlflow_run_id,
            MLFLOW_EXPERIMENT_ID=house.a.experiment_id,
            NAME="main",
        )
    assert told["run"] == run.mlflow_run_id
    assert told["status"] == "FINISHED"
    assert told["history"] == 3
    assert told["listed"] == ["notes/note with space.txt"]
    assert told["text"] == "hello"
    assert told["predicted"] == [2.0, 4.0]
    assert told["seen"] == sorted([told["run"], told["child"]])
    assert told["found"] == house.a.experiment_id


async def test_a_job_whose_mlflow_run_was_not_made_yet_gets_it_by_its_first_create(house: House) -> None:
    run = await add_run(house.db, house.a)
    token = await run_token(house.db, run)
    async with served(house.app) as uri:
        told = await run_program(
            "train.py",
            MLFLOW_TRACKING_URI=uri,
            MLFLOW_TRACKING_TOKEN=token,
            MLFLOW_EXPERIMENT_ID=house.a.experiment_id,
            NAME="main",
        )
    async with house.db.reading() as session:
        kept = await session.get_one(Run, run.id)
    assert kept.mlflow_run_id == told["run"]
    again = await house.client.ensure_run(
        experiment_id=house.a.experiment_id, run_id=run.id, name="n", user="u", tags={}, start_time=clock.now()
    )
    assert again == told["run"]


async def test_a_user_works_from_their_own_machine(house: House) -> None:
    foreign, _ = await tracked_run(house.db, house.client, house.b)
    async with served(house.app) as uri:
        told = await run_program(
            "user.py",
            MLFLOW_TRACKING_URI=uri,
            MLFLOW_TRACKING_TOKEN=house.a.token,
            NAME="main",
            FOREIGN_RUN=str(foreign.mlflow_run_id),
        )
    full = f"{house.a.project.id}.doubler"
    assert told["predicted"] == [6.0]
    assert told["models"] == [full]
    assert told["versions"] == [full]
    assert told["experiments"] == [house.a.experiment_id]
    assert told["all_runs"] == 1
    assert len(told["logged"]) == 1
    assert "Experiments are made and changed in the gateway" in told["refused"]
    assert f"Run {foreign.mlflow_run_id} does not exist, or you may not see it." in told["foreign"]


async def test_create_is_repeated_after_a_lost_answer_without_a_second_run(house: House) -> None:
    run = await add_run(house.db, house.a)
    body = {"experiment_id": house.a.experiment_id, "start_time": 1_700_000_000_000, "run_name": "first"}
    async with door(house.app, await run_token(house.db, run)) as http:
        first, repeat = [await http.post("/api/2.0/mlflow/runs/create", json=body) for _ in range(2)]
        other = await http.post("/api/2.0/mlflow/runs/create", json={**body, "start_time": 1_700_000_000_999})
    own = first.json()["run"]["info"]["run_id"]
    assert repeat.json()["run"]["info"]["run_id"] == own
    child = other.json()["run"]
    assert child["info"]["run_id"] != own
    assert {"key": "mlflow.parentRunId", "value": own} in child["data"]["tags"]


async def test_the_token_of_another_run_is_refused(house: House) -> None:
    mine, token = await tracked_run(house.db, house.client, house.a)
    other, _ = await tracked_run(house.db, house.client, house.a)
    place = f"/api/2.0/mlflow-artifacts/artifacts/{house.a.experiment_id}/{other.mlflow_run_id}/artifacts/x"
    async with door(house.app, token) as http:
        get = await http.get("/api/2.0/mlflow/runs/get", params={"run_id": other.mlflow_run_id})
        put = await http.put(place, content=b"x")
        log = await http.post(
            "/api/2.0/mlflow/runs/log-parameter", json={"run_id": other.mlflow_run_id, "key": "k", "value": "v"}
        )
        create = await http.post(
            "/api/2.0/mlflow/runs/create",
            json={
                "experiment_id": house.a.experiment_id,
                "tags": [{"key": "mlflow.parentRunId", "value": other.mlflow_run_id}],
            },
        )
        seen = await http.post("/api/2.0/mlflow/runs/search", json={"experiment_ids": [house.a.experiment_id]})
    for refused in (get, put, log, create):
        assert refused.status_code == 403, refused.text
        assert refused.json()["error_code"] == "PERMISSION_DENIED"
        assert "its token reaches only its own" in refused.json()["message"]
    assert [r["info"]["run_id"] for r in seen.json()["runs"]] == [mine.mlflow_run_id]


async def test_a_run_token_is_refused_an_hour_after_the_end(house: House) -> None:
    run, token = await tracked_run(house.db, house.client, house.a)
    ended = clock.now()
    async with house.db.transaction() as session:
        kept = await session.get_one(Run, run.id)
        kept.state, kept.ended_at = "FINISHED", ended
    ask = ("/api/2.0/mlflow/runs/get", {"run_id": run.mlflow_run_id})
    async with door(house.app, token) as http:
        clock.use(lambda: ended + timedelta(minutes=59))
        assert (await http.get(ask[0], params=ask[1])).status_code == 200
        clock.use(lambda: ended + timedelta(minutes=60))
        late = await http.get(ask[0], params=ask[1])
    assert late.status_code == 401
    assert late.json()["error_code"] == "UNAUTHENTICATED"


async def test_ensure_run_after_a_race_keeps_the_oldest(house: House, client: TrackingClient) -> None:
    run = await add_run(house.db, house.a)
    tag = [{"key": "mantik.runId", "value": str(run.id)}]
    made = []
    for start in (3000, 1000, 2000):
        body = {"experiment_id": house.a.experiment_id, "start_time": start, "tags": tag}
        made.append((await client.call("POST", "runs/create", body))["run"]["info"]["run_id"])
    kept = await client.ensure_run(
        experiment_id=house.a.experiment_id, run_id=run.id, name="n", user="u", tags={}, start_time=clock.now()
    )
    assert kept == made[1]
    left = await client.call("POST", "runs/search", {"experiment_ids": [house.a.experiment_id]})
    assert [r["info"]["run_id"] for r in left["runs"]] == [kept]
