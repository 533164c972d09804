"""The id that a job is given leads to its MLflow run, which is made when it is first used."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.repositories.rows import ExperimentRepository
from gateway.runs.moves import record
from gateway.runs.rows import Run
from gateway.runs.states import State
from gateway.tracking import own, routes
from gateway.tracking.alias import alias, stands_in, translated
from gateway.tracking.client import TrackingClient
from gateway.tracking.desk import Asked
from gateway.tracking.own import ensure_own_run
from gateway.tracking.server import MlflowServer
from gateway.users.caller import Caller
from tests.gateway.tracking.conftest import House
from tests.gateway.tracking.house import Home, a_home, add_run, application, door, run_program, run_token, served

mlflow = pytest.mark.mlflow
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
API = "/api/2.0/mlflow"
GIVEN, OWN, OTHER = "a" * 32, "b" * 32, "c" * 32


async def untold(house: House) -> tuple[Home, Run, str]:
    """A running job of which MLflow was told nothing: it knows neither run nor experiment."""
    home = await a_home(house.db, "late")
    run = await add_run(house.db, home)
    return home, run, await run_token(house.db, run)


async def stored(house: House, run: Run, home: Home) -> tuple[str | None, list[str]]:
    """The MLflow run that we know of, and all that MLflow has in the experiment."""
    async with house.db.reading() as session:
        kept = await session.get_one(Run, run.id)
        experiment = await session.get_one(ExperimentRepository, home.experiment.id)
    search = {"experiment_ids": [experiment.mlflow_experiment_id]}
    there = await house.client.call("POST", "runs/search", search)
    return kept.mlflow_run_id, [r["info"]["run_id"] for r in there.get("runs", ())]


# ------------------------------------------------------------------ by the real client


@mlflow
@sqlite
async def test_a_training_resumes_the_run_that_mlflow_did_not_have(house: House) -> None:
    home, run, token = await untold(house)
    async with served(house.app) as uri:
        told = await run_program(
            "train.py", MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN=token, MLFLOW_RUN_ID=run.id.hex, NAME="main"
        )
    known, there = await stored(house, run, home)
    assert told["run"] == known
    assert sorted(there) == told["seen"] == sorted([told["run"], told["child"]])
    assert (told["status"], told["history"], told["text"]) == ("FINISHED", 3, "hello")
    assert (told["listed"], told["predicted"]) == (["notes/note with space.txt"], [2.0, 4.0])
    kept = (await house.client.call("GET", "runs/get", query=[("run_id", told["run"])]))["run"]
    tags = {tag["key"]: tag["value"] for tag in kept["data"]["tags"]}
    assert (tags["mantik.runId"], tags["mlflow.user"]) == (str(run.id), home.user.name)


@mlflow
@sqlite
async def test_everything_works_by_the_given_id(house: House) -> None:
    home, run, token = await untold(house)
    async with served(house.app) as uri:
        told = await run_program(
            "given_id.py", MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN=token, MLFLOW_RUN_ID=run.id.hex
        )
    known, there = await stored(house, run, home)
    assert told["run"] == told["active"] == known
    assert told["run"] != run.id.hex
    assert sorted(there) == sorted([told["run"], *told["children"]])
    assert sorted(told["below"]) == sorted(told["children"])
    assert told["itself"] == [told["run"]]
    assert (told["status"], told["history"], told["colour"]) == ("FAILED", [0.5], "green")
    assert (told["listed"], told["text"]) == (["notes/note.txt"], "hello")
    assert told["params"] == {"rate": "0.1", "given": run.id.hex}, "what was logged stays as it was logged"
    assert (told["models"], told["predicted"]) == (["again", "twice"], [2.0])


@mlflow
@sqlite
async def test_a_model_of_an_older_client_names_mlflows_run(house: House) -> None:
    _, run, token = await untold(house)
    described = {"run_id": alias(run.id), "artifact_path": "m", "utc_time_created": "2026-01-01", "flavors": {}}
    async with door(house.app, token) as http:
        body = {"run_id": alias(run.id), "model_json": json.dumps(described)}
        assert (await http.post(f"{API}/runs/log-model", json=body)).status_code == 200
        there = (await http.get(f"{API}/runs/get", params={"run_id": alias(run.id)})).json()["run"]
    tags = {tag["key"]: tag["value"] for tag in there["data"]["tags"]}
    (recorded,) = json.loads(tags["mlflow.log-model.history"])
    assert recorded["run_id"] == there["info"]["run_id"] != alias(run.id)


@mlflow
@sqlite
async def test_automatic_logging_takes_the_run(house: House) -> None:
    home, run, token = await untold(house)
    async with served(house.app) as uri:
        told = await run_program(
            "autolog.py", MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN=token, MLFLOW_RUN_ID=run.id.hex
        )
    assert await stored(house, run, home) == (told["run"], [told["run"]])
    assert (told["status"], "fit_intercept" in told["params"]) == ("FINISHED", True)


# ------------------------------------------------------------------ one run, whatever happens


@mlflow
@sqlite
async def test_first_calls_at_once_and_the_engine_make_one_run(house: House, mlflow_server: MlflowServer) -> None:
    """Two gateways over one database: what the slower one made is deleted again."""
    home, run, token = await untold(house)
    second = TrackingClient(mlflow_server.uri, seconds=30.0, socket=mlflow_server.socket)
    ask = {"run_id": alias(run.id), "key": "m", "timestamp": 1}
    async with door(house.app, token) as one, door(application(house.db, second), token) as two:
        doors = [one, two] * 4
        logged = [http.post(f"{API}/runs/log-metric", json={**ask, "value": n}) for n, http in enumerate(doors)]
        engine = ensure_own_run(house.db, house.client, run.id, {})
        linked, *answers = await asyncio.gather(engine, *logged)
        history = await one.get(f"{API}/metrics/get-history", params={"run_id": alias(run.id), "metric_key": "m"})
    await second.close()
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len(history.json()["metrics"]) == 8
    assert await stored(house, run, home) == (linked.mlflow_run_id, [linked.mlflow_run_id])


@mlflow
@sqlite
async def test_what_was_made_before_a_crash_is_found(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    home, run, token = await untold(house)

    async def crash(*_: object) -> str:
        raise OSError("the gateway was killed")

    async with door(house.app, token) as http:
        with monkeypatch.context() as patch:
            patch.setattr(own, "_store", crash)
            killed = await http.get(f"{API}/runs/get", params={"run_id": alias(run.id)})
        assert killed.status_code == 500
        assert (await stored(house, run, home))[0] is None
        found = await http.get(f"{API}/runs/get", params={"run_id": alias(run.id)})
    made = found.json()["run"]["info"]["run_id"]
    assert await stored(house, run, home) == (made, [made])


@mlflow
@sqlite
async def test_of_several_that_were_made_the_oldest_stays(house: House, client: TrackingClient) -> None:
    run = await add_run(house.db, house.a)
    tag = [{"key": "mantik.runId", "value": str(run.id)}]
    made = []
    for start in (3000, 1000, 2000):
        body = {"experiment_id": house.a.experiment_id, "start_time": start, "tags": tag}
        made.append((await client.call("POST", "runs/create", body))["run"]["info"]["run_id"])
    assert (await ensure_own_run(house.db, client, run.id, {})).mlflow_run_id == made[1]
    assert await stored(house, run, house.a) == (made[1], [made[1]])


@mlflow
@sqlite
async def test_a_create_that_comes_late_leaves_no_second_run(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow hung: what it was asked for by a try that gave up is done after the next one has searched."""
    run = await add_run(house.db, house.a)
    runs_of = house.client.runs_of

    async def too_early(experiment_id: str, run_id: UUID) -> list[str]:
        monkeypatch.setattr(house.client, "runs_of", runs_of)
        found = await runs_of(experiment_id, run_id)
        await house.client.create_run(experiment_id, run_id, "late", "u", {}, run.created_at)
        return found

    monkeypatch.setattr(house.client, "runs_of", too_early)
    linked = await ensure_own_run(house.db, house.client, run.id, {})
    assert await stored(house, run, house.a) == (linked.mlflow_run_id, [linked.mlflow_run_id])


@mlflow
@sqlite
async def test_only_ones_own_alias_means_anything(house: House) -> None:
    _, run, token = await untold(house)
    _, other, _ = await untold(house)
    async with door(house.app, token) as http:
        strange = await http.get(f"{API}/runs/get", params={"run_id": alias(other.id)})
    async with door(house.app, house.a.token) as http:
        user = await http.get(f"{API}/runs/get", params={"run_id": alias(run.id)})
    assert (strange.status_code, user.status_code) == (404, 404)


async def test_paths_of_runs_take_the_given_id(house_without_mlflow: House) -> None:
    """The client that is published puts MLFLOW_RUN_ID there."""
    house = house_without_mlflow
    run = await add_run(house.db, house.a)
    async with house.db.transaction() as session:
        record(session, run.id, "state", "It runs.", to=State.RUNNING)
    place = f"http://gateway/api/v1/projects/{house.a.project.id}/runs/{alias(run.id)}"
    for token in (house.a.token, await run_token(house.db, run)):
        async with door(house.app, token) as http:
            found = await http.get(place)
            assert found.status_code == 200, found.text
            assert found.json()["runId"] == str(run.id)


# ------------------------------------------------------------------ where it may stand


def asked(method: str, path: str, query: list[tuple[str, str]] | None = None, body: Any = None) -> Asked:
    match = routes.find(method, path)
    assert match is not None
    return Asked(Caller(uuid4(), "u"), match, query or [], body or {})


@pytest.mark.parametrize("key", ["run_id", "run_uuid", "run_ids", "source_run_id"])
def test_in_a_query(key: str) -> None:
    got = translated(asked("GET", "api/2.0/mlflow/runs/get", [(key, GIVEN), (key, OTHER), ("x", GIVEN)]), GIVEN, OWN)
    assert got.query == [(key, OWN), (key, OTHER), ("x", GIVEN)]


BODIES: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    ({"run_id": GIVEN, "run_uuid": OTHER}, {"run_id": OWN, "run_uuid": OTHER}),
    ({"source_run_id": GIVEN}, {"source_run_id": OWN}),
    ({"run_ids": [OTHER, GIVEN]}, {"run_ids": [OTHER, OWN]}),
    ({"metrics": [{"key": "m", "run_id": GIVEN}]}, {"metrics": [{"key": "m", "run_id": OWN}]}),
    (
        {"tags": [{"key": "mlflow.parentRunId", "value": GIVEN}, {"key": "k", "value": GIVEN}]},
        {"tags": [{"key": "mlflow.parentRunId", "value": OWN}, {"key": "k", "value": GIVEN}]},
    ),
    ({"key": "mlflow.parentRunId", "value": GIVEN}, {"key": "mlflow.parentRunId", "value": OWN}),
    ({"params": [{"key": "p", "value": GIVEN}]}, {"params": [{"key": "p", "value": GIVEN}]}),
    (
        {"model_json": f'{{"run_id": "{GIVEN}", "x": "{GIVEN}"}}'},
        {"model_json": f'{{"run_id": "{OWN}", "x": "{GIVEN}"}}'},
    ),
]


@pytest.mark.parametrize(("body", "meant"), BODIES)
def test_in_a_body(body: Mapping[str, Any], meant: Mapping[str, Any]) -> None:
    assert translated(asked("POST", "api/2.0/mlflow/runs/log-batch", body=body), GIVEN, OWN).body == meant


FILTERS = [
    ("tags.mlflow.parentRunId = '{}'", True),
    ("tags.`mlflow.parentRunId`='{}' and metrics.x > 1", True),
    ('attributes.run_id != "{}"', True),
    ("run_id IN ('x', '{}')", True),
    ("params.a = 'b' AND source_run_id = '{}'", True),
    ("params.parent = '{}'", False),
    ("tags.note LIKE '%run_id%' and params.x = '{}'", False),
]


@pytest.mark.parametrize(("text", "meant"), FILTERS)
def test_in_a_filter(text: str, meant: bool) -> None:
    got = translated(asked("POST", "api/2.0/mlflow/runs/search", body={"filter": text.format(GIVEN)}), GIVEN, OWN)
    assert got.body == {"filter": text.format(OWN if meant else GIVEN)}


PATHS = [
    (f"1/{GIVEN}/artifacts/x", f"1/{OWN}/artifacts/x"),
    (f"1/{GIVEN}", f"1/{OWN}"),
    (f"1/{OTHER}/artifacts/{GIVEN}", f"1/{OTHER}/artifacts/{GIVEN}"),
    (f"1/models/{GIVEN}/artifacts", f"1/models/{GIVEN}/artifacts"),
]


@pytest.mark.parametrize(("path", "meant"), PATHS)
def test_in_a_path(path: str, meant: str) -> None:
    files = "api/2.0/mlflow-artifacts/artifacts"
    put = translated(asked("PUT", f"{files}/{path}"), GIVEN, OWN).match
    assert (put.path, put.variables) == (f"{files}/{meant}", {"path": meant})
    assert translated(asked("GET", files, [("path", path)]), GIVEN, OWN).query == [("path", meant)]
    below = [("run_id", OTHER), ("path", path)]
    assert translated(asked("GET", "api/2.0/mlflow/artifacts/list", below), GIVEN, OWN).query == below


def test_most_requests_do_not_hold_it() -> None:
    assert not stands_in(GIVEN, "runs/get", [("run_id", OTHER)], OTHER.encode())
    for path, query, body in ((GIVEN, [], b""), ("", [("x", f"1/{GIVEN}")], b""), ("", [], f'"{GIVEN}"'.encode())):
        assert stands_in(GIVEN, path, query, body)
