"""Every route of the installed MLflow server, asked by a stranger for another project's things."""

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.tracking import refused, routes
from gateway.tracking.names import model_name
from gateway.tracking.routes import Rule
from tests.gateway.tracking.conftest import House
from tests.gateway.tracking.house import Home, door, raw, run_program, tracked_run

pytestmark = [pytest.mark.mlflow]
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SECRET = "of-project-a-alone"
NO_DATA = (Rule.OPEN, Rule.LIST_EXPERIMENTS, Rule.LIST_MODELS)
"""Rules under which a stranger gets an answer: an empty one."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served_routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    found = await run_program("list_routes.py", str(tmp_path_factory.mktemp("routes")))
    assert len(found) > 300
    return [(method, re.sub(r"[<{](?:path:)?(\w+)(?::path)?[>}]", r"{\1}", path).lstrip("/")) for method, path in found]


@dataclass
class Treasure:
    """What stands in A's project, with the secret in all values that MLflow would show."""

    experiment: str
    run: str
    logged_model: str
    model: str
    artifact: str
    tag_key: str = "t"

    def fields(self, *, camel: bool = False) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "run_id": self.run,
            "experiment_id": self.experiment,
            "experiment_ids": [self.experiment],
            "run_ids": [self.run],
            "model_id": self.logged_model,
            "experiment_name": "main",
            "name": self.model,
            "new_name": "other",
            "version": "1",
            "alias": "best",
            "path": "notes",
            "artifact_file_path": "MLmodel",
            "key": "t",
            "value": "1",
            "timestamp": 1,
            "metric_key": "loss",
            "source": f"runs:/{self.run}/notes",
            "model_json": "{}",
            "stage": "Production",
            "status": "FINISHED",
            "tags": [{"key": "t", "value": "v"}],
            "models": [{"model_id": self.logged_model}],
        }
        return {re.sub(r"_(\w)", lambda m: m[1].upper(), k): v for k, v in plain.items()} if camel else plain

    def url(self, path: str) -> str:
        values = {"model_id": self.logged_model, "tag_key": "t", "artifact_path": self.artifact}
        return re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], "x"), path)


async def hide(house: House, home: Home) -> Treasure:
    run, _ = await tracked_run(house.db, house.client, home)
    run_id, experiment = str(run.mlflow_run_id), home.experiment_id
    await house.client.set_tags(run_id, {"t": SECRET})
    await house.client.log_params(run_id, {"p": SECRET})
    metric = {"key": "loss", "value": 1.0, "timestamp": 1, "step": 0}
    await house.client.call("POST", "runs/log-batch", {"run_id": run_id, "metrics": [metric]})
    await house.client.log_artifact(run_id, "notes/a.txt", SECRET.encode())
    tags = [{"key": "t", "value": SECRET}]
    asked = {"experiment_id": experiment, "name": "net", "source_run_id": run_id, "tags": tags}
    logged = (await house.client.call("POST", "logged-models", asked))["model"]["info"]["model_id"]
    name = model_name(home.project.id, "net")
    await house.client.call("POST", "registered-models/create", {"name": name, "description": SECRET, "tags": tags})
    version = {"name": name, "source": f"runs:/{run_id}/notes", "run_id": run_id, "description": SECRET}
    await house.client.call("POST", "model-versions/create", version)
    await house.client.call("POST", "registered-models/alias", {"name": name, "alias": "best", "version": "1"})
    return Treasure(experiment, run_id, logged, name, f"{experiment}/{run_id}/artifacts/notes/a.txt")


async def state_of(house: House, treasure: Treasure) -> Any:
    """All of it, past the proxy."""
    call = house.client.call
    return [
        await call("GET", "runs/get", query=[("run_id", treasure.run)]),
        await call("GET", "experiments/get", query=[("experiment_id", treasure.experiment)]),
        await call("GET", f"logged-models/{treasure.logged_model}"),
        await call("GET", "registered-models/get", query=[("name", treasure.model)]),
        await call("GET", "artifacts/list", query=[("run_id", treasure.run)]),
        await call("POST", "runs/search", {"experiment_ids": [treasure.experiment], "run_view_type": "ALL"}),
    ]


async def ask(http: httpx.AsyncClient, method: str, path: str, fields: dict[str, Any]) -> httpx.Response:
    """With the fields in the query and, for what has one, in the body."""
    query = [(k, str(v)) for k, vs in fields.items() for v in (vs if isinstance(vs, list) else [vs])]
    if method == "GET":
        return await http.request(method, f"/{path}", params=query)
    return await http.request(method, f"/{path}", params=query, json=fields)


def test_every_route_of_the_installed_mlflow_is_known(served_routes: list[tuple[str, str]]) -> None:
    treasure = Treasure("1", "r" * 32, "m-" + "0" * 32, "n", "1/r/artifacts/x")
    unknown = [
        (method, path)
        for method, path in served_routes
        if routes.find(method, treasure.url(path)) is None and refused.reason(treasure.url(path)) == refused.NOT_SERVED
    ]
    assert unknown == [], "MLflow has new routes: allow them in routes.py or deny them in refused.py"


def test_every_allowed_route_is_one_that_mlflow_serves(served_routes: list[tuple[str, str]]) -> None:
    served = {(method, path.replace("{artifact_path}", "{path}")) for method, path in served_routes}
    ours = {(route.method, prefix + route.path) for route in routes.ROUTES for prefix in route.prefixes}
    assert ours - served == set()


@SQLITE
@pytest.mark.parametrize("camel", [False, True], ids=["snake", "camel"])
async def test_no_route_gives_a_stranger_anything(
    house: House, served_routes: list[tuple[str, str]], camel: bool
) -> None:
    treasure = await hide(house, house.a)
    before = await state_of(house, treasure)
    assert SECRET in json.dumps(before)
    answered = set()
    async with door(house.app, house.b.token) as http:
        for method, path in served_routes:
            answer = await ask(http, method, treasure.url(path), treasure.fields(camel=camel))
            assert SECRET not in answer.text, (method, path)
            match = routes.find(method, treasure.url(path))
            if match is None:
                assert answer.status_code == 403, (method, path, answer.text)
                assert answer.json()["error_code"] == "PERMISSION_DENIED"
            elif answer.is_success:
                answered.add(match.route.rule)
            else:
                assert answer.status_code in (400, 403, 404), (method, path, answer.text)
    # With the fields in camel case a search names no experiment and is over B's own; `experiment_name` is B's own too.
    assert answered <= {*NO_DATA, Rule.EXPERIMENT_NAME, Rule.IN_EXPERIMENTS}, answered
    assert await state_of(house, treasure) == before


@SQLITE
async def test_nobody_without_a_login_gets_anything(house: House, served_routes: list[tuple[str, str]]) -> None:
    async with door(house.app, None) as http:
        answers = {(await ask(http, method, path.replace("{", "").replace("}", ""), {})).status_code
                   for method, path in served_routes}  # fmt: skip
    assert answers == {401}


@SQLITE
async def test_the_owner_gets_what_the_stranger_does_not(house: House) -> None:
    """The walk above would pass if nothing worked."""
    treasure = await hide(house, house.a)
    shown = 0
    async with door(house.app, house.a.token) as http:
        for route in routes.ROUTES:
            if route.method != "GET" or route.rule is Rule.OPEN:
                continue
            path = treasure.url(route.prefixes[0] + route.path).replace("{path}", "x")
            path = (
                path.replace("artifacts/x", f"artifacts/{treasure.artifact}") if route.rule is Rule.ARTIFACT else path
            )
            answer = await ask(http, "GET", path, owned_fields(treasure, route))
            assert answer.status_code == 200 or route.streams or "directories" in path, (path, answer.text)
            shown += SECRET in answer.text
    assert shown >= 8


def owned_fields(treasure: Treasure, route: routes.Route) -> dict[str, Any]:
    fields = treasure.fields()
    wanted = {
        Rule.EXPERIMENT_NAME: ["experiment_name"],
        Rule.LIST_EXPERIMENTS: [],
        Rule.LIST_MODELS: [],
        Rule.MODEL: ["name", "version", "alias", "path"],
        Rule.ARTIFACT: [],
    }.get(route.rule, ["run_id", "run_ids", "experiment_id", "metric_key", "artifact_file_path"])
    chosen = {name: fields[name] for name in wanted}
    if route.rule is Rule.ARTIFACT_LIST:
        return {"path": f"{treasure.experiment}/{treasure.run}/artifacts"}
    if route.path == "get-artifact":
        return {"run_id": treasure.run, "path": "notes/a.txt"}
    return {**chosen, "path": "a.txt"} if "path" in chosen else chosen


@SQLITE
async def test_foreign_things_beside_own_ones(house: House) -> None:
    treasure, mine = await hide(house, house.a), await hide(house, house.b)
    metric = {"key": "m", "value": 1.0, "timestamp": 1, "step": 0}
    api = "api/2.0/mlflow/"
    tries: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "runs/search", {"experiment_ids": [mine.experiment, treasure.experiment]}),
        ("POST", "runs/search", {"experimentIds": [mine.experiment, treasure.experiment]}),
        ("POST", "logged-models/search", {"experiment_ids": [mine.experiment, treasure.experiment]}),
        ("POST", "runs/log-batch", {"run_id": mine.run, "metrics": [{**metric, "model_id": treasure.logged_model}]}),
        ("POST", "runs/log-batch", {"run_id": mine.run, "metrics": [{**metric, "modelId": treasure.logged_model}]}),
        ("POST", "runs/log-metric", {**metric, "run_id": mine.run, "model_id": treasure.logged_model}),
        ("POST", "runs/log-metric", {**metric, "run_id": mine.run, "run_uuid": treasure.run}),
        ("POST", "runs/log-metric", {**metric, "run_id": mine.run, "runId": treasure.run}),
        ("POST", "runs/outputs", {"run_id": mine.run, "models": [{"model_id": treasure.logged_model}]}),
        ("POST", "runs/set-tag", {"run_id": mine.run, "key": "mlflow.parentRunId", "value": treasure.run}),
        ("POST", "logged-models", {"experiment_id": mine.experiment, "source_run_id": treasure.run}),
        ("GET", "metrics/get-history-bulk-interval", {"run_ids": [mine.run, treasure.run], "metric_key": "loss"}),
        ("POST", "model-versions/create", {"name": mine.model, "source": f"runs:/{treasure.run}/notes"}),
        ("POST", "model-versions/create", {"name": mine.model, "source": f"models:/{treasure.model}/1"}),
        ("POST", "model-versions/create", {"name": mine.model, "source": f"models:/{treasure.logged_model}"}),
        ("POST", "model-versions/create", {"name": mine.model, "source": f"mlflow-artifacts:/{treasure.artifact}"}),
        ("POST", "model-versions/create", {"name": mine.model, "source": f"mlflow-artifacts://h/{treasure.artifact}"}),
        ("POST", "model-versions/create", {"name": mine.model, "source": "file:///etc"}),
        ("POST", "registered-models/rename", {"name": mine.model, "new_name": treasure.model + "2"}),
    ]
    async with door(house.app, house.b.token) as http:
        for method, path, fields in tries:
            answer = await ask(http, method, api + path, fields)
            assert answer.status_code in (400, 403, 404), (path, fields, answer.text)
            assert SECRET not in answer.text
        both = [("run_id", mine.run), ("run_id", treasure.run), ("metric_key", "loss")]
        assert (await http.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk", params=both)).status_code == 404
        twice = [("name", mine.model), ("name", treasure.model)]
        assert (await http.get(f"/{api}registered-models/get", params=twice)).status_code == 400


@SQLITE
@pytest.mark.parametrize(
    "shape",
    [
        "{mine}/../{theirs}",
        "{mine}/%2e%2e/{theirs}",
        "{mine}/%252e%252e/{theirs}",
        "{mine}/%25252e%25252e/{theirs}",
        "{mine}%2F..%2F{theirs}",
        "{mine}/..%5C{theirs}",
        "/{theirs}",
        "%2F{theirs}",
        "{mine}//{theirs}",
        "./{theirs}",
        "%2e/{theirs}",
        "{mine}/x%00/../{theirs}",
        "file:{theirs}",
        "{theirs}%23",
        "0{theirs}",
        "%20{theirs}",
        "%3{theirs}",
    ],
)
async def test_artifact_paths_do_not_leave_the_experiment(house: House, shape: str) -> None:
    treasure = await hide(house, house.a)
    path = shape.format(mine=house.b.experiment_id, theirs=treasure.artifact)
    for method in ("GET", "PUT", "DELETE"):
        place = f"/tracking/api/2.0/mlflow-artifacts/artifacts/{path}"
        answer = await raw(house.app, house.b.token, method, place)
        assert answer.status_code in (400, 404), (method, answer.text)
        assert SECRET not in answer.text
    async with door(house.app, house.b.token) as http:
        listed = await http.get("/api/2.0/mlflow-artifacts/artifacts", params={"path": path})
    assert listed.status_code in (400, 404)
    assert SECRET in json.dumps(await state_of(house, treasure))
