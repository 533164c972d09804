"""The real MLflow client through the proxy to the real MLflow server."""

from datetime import timedelta

import pytest

from gateway import clock
from gateway.runs.rows import Run
from tests.gateway.tracking.conftest import House
from tests.gateway.tracking.house import door, run_program, served, tracked_run

pytestmark = [pytest.mark.mlflow, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]
CREATE = "/api/2.0/mlflow/runs/create"


async def test_a_job_logs_everything_by_the_id_that_mlflow_gave(house: House) -> None:
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


async def test_what_a_job_creates_without_a_parent_is_a_child_of_its_run(house: House) -> None:
    run, token = await tracked_run(house.db, house.client, house.a)
    async with door(house.app, token) as http:
        made = [(await http.post(CREATE, json={"start_time": n})).json()["run"] for n in (1, 2)]
    assert len({run.mlflow_run_id, *(child["info"]["run_id"] for child in made)}) == 3
    for child in made:
        assert {"key": "mlflow.parentRunId", "value": run.mlflow_run_id} in child["data"]["tags"]


@pytest.mark.parametrize("elsewhere", ["0", "of another", None])
async def test_a_job_creates_in_the_experiment_of_its_run_only(house: House, elsewhere: str | None) -> None:
    run, token = await tracked_run(house.db, house.client, house.a)
    named = house.b.experiment_id if elsewhere == "of another" else elsewhere
    body = {"experiment_id": named, "start_time": 1}
    nested = {**body, "tags": [{"key": "mlflow.parentRunId", "value": run.mlflow_run_id}]}
    async with door(house.app, token) as http:
        made = [(await http.post(CREATE, json=asked)).json()["run"]["info"] for asked in (body, nested)]
    assert [info["experiment_id"] for info in made] == [house.a.experiment_id] * 2


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
