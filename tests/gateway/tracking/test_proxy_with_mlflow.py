"""The real MLflow client through the proxy to the real MLflow server."""

import asyncio
from datetime import timedelta

import pytest

from gateway import clock
from gateway.repositories.rows import ExperimentRepository
from gateway.runs.rows import Run
from gateway.tracking.client import TrackingClient
from gateway.tracking.own import ensure_own_run
from tests.gateway.tracking.conftest import House
from tests.gateway.tracking.house import a_home, add_run, door, run_program, run_token, served, tracked_run

pytestmark = [pytest.mark.mlflow, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]
CREATE = "/api/2.0/mlflow/runs/create"


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


@pytest.mark.parametrize("chosen", [{}, {"MLFLOW_EXPERIMENT_NAME": "main"}])
async def test_a_job_that_found_mlflow_late_logs_to_its_own_run(house: House, chosen: dict[str, str]) -> None:
    """Neither run nor experiment were in MLflow at submit, so that the client names no experiment or only its name."""
    late = await a_home(house.db, "late")
    run = await add_run(house.db, late)
    token = await run_token(house.db, run)
    async with served(house.app) as uri:
        told = await run_program(
            "train.py", MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN=token, NAME="main", **chosen
        )
    async with house.db.reading() as session:
        kept = await session.get_one(Run, run.id)
        experiment = await session.get_one(ExperimentRepository, late.experiment.id)
    assert (kept.mlflow_run_id, experiment.mlflow_experiment_id) == (told["run"], told["found"])
    assert (told["status"], told["history"], told["text"]) == ("FINISHED", 3, "hello")
    assert told["listed"] == ["notes/note with space.txt"]
    there = (await house.client.call("GET", "runs/get", query=[("run_id", told["run"])]))["run"]
    tags = {tag["key"]: tag["value"] for tag in there["data"]["tags"]}
    assert (tags["mantik.runId"], tags["mlflow.user"]) == (str(run.id), late.user.name)
    assert tags["mlflow.source.name"].endswith("train.py")
    assert await ensure_own_run(house.db, house.client, run.id, {}) == told["run"]


async def test_what_the_gateway_made_late_is_begun_by_the_first_create_and_children_follow(house: House) -> None:
    run = await add_run(house.db, house.a)
    token = await run_token(house.db, run)
    own = await ensure_own_run(house.db, house.client, run.id, {})
    named = {"tags": [{"key": "colour", "value": "green"}, {"key": "mlflow.user", "value": "root"}]}
    async with door(house.app, token) as http:
        first = await http.post(CREATE, json={"experiment_id": "0", "run_name": "first", "start_time": 1, **named})
        other = await http.post(CREATE, json={"experiment_id": "0", "start_time": 2})
    begun, child = first.json()["run"], other.json()["run"]
    assert (begun["info"]["run_id"], begun["info"]["run_name"], begun["info"]["status"]) == (own, "first", "RUNNING")
    tags = {tag["key"]: tag["value"] for tag in begun["data"]["tags"]}
    assert (tags["colour"], tags["mlflow.user"]) == ("green", house.a.user.name)
    assert {"key": "mlflow.parentRunId", "value": own} in child["data"]["tags"]


async def test_a_job_that_was_given_its_id_makes_children_only(house: House) -> None:
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


async def test_engine_and_job_that_ask_at_once_get_one_run(house: House) -> None:
    late = await a_home(house.db, "late")
    run = await add_run(house.db, late)
    body = {"experiment_id": "0", "start_time": 1}
    async with door(house.app, await run_token(house.db, run)) as http:
        own, *asked = await asyncio.gather(
            ensure_own_run(house.db, house.client, run.id, {}), *(http.post(CREATE, json=body) for _ in range(3))
        )
    assert [answer.json()["run"]["info"]["run_id"] for answer in asked] == [own] * 3
    async with house.db.reading() as session:
        experiment = await session.get_one(ExperimentRepository, late.experiment.id)
    left = await house.client.call("POST", "runs/search", {"experiment_ids": [experiment.mlflow_experiment_id]})
    assert [r["info"]["run_id"] for r in left["runs"]] == [own]


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
