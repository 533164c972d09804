"""Who may do what in MLflow: roles, public projects, the gateway's own tags and files."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from gateway.audit.rows import AuditEntry
from gateway.projects.rows import Member
from gateway.repositories.rows import ExperimentRepository
from gateway.tracking import routes
from gateway.tracking.client import TrackingClient
from gateway.tracking.names import experiment_name
from gateway.tracking.scopes import Reach
from tests.gateway.tracking.conftest import House
from tests.gateway.tracking.house import a_home, door, join, move_in, tracked_run

pytestmark = [pytest.mark.mlflow, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]
API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


async def status(http: httpx.AsyncClient, method: str, path: str, **options: Any) -> int:
    return (await http.request(method, path, **options)).status_code


@pytest.mark.parametrize(
    ("role", "reads", "files", "writes", "deletes"),
    [
        ("guest", 200, 403, 403, 403),
        ("reporter", 200, 200, 403, 403),
        ("researcher", 200, 200, 200, 403),
        ("maintainer", 200, 200, 200, 200),
        ("owner", 200, 200, 200, 200),
    ],
)
async def test_roles(house: House, role: str, reads: int, files: int, writes: int, deletes: int) -> None:
    run, _ = await tracked_run(house.db, house.client, house.a)
    run_id = str(run.mlflow_run_id)
    place = f"{FILES}/{house.a.experiment_id}/{run_id}/artifacts/a.txt"
    await house.client.log_artifact(run_id, "a.txt", b"a")
    async with door(house.app, await join(house.db, house.a, role)) as http:
        assert await status(http, "GET", f"{API}/runs/get", params={"run_id": run_id}) == reads
        assert await status(http, "GET", place) == files
        assert await status(http, "GET", f"{API}/artifacts/list", params={"run_id": run_id}) == files
        assert await status(http, "PUT", place, content=b"b") == writes
        new = {"experiment_id": house.a.experiment_id}
        assert await status(http, "POST", f"{API}/runs/create", json=new) == writes
        tag = {"run_id": run_id, "key": "k", "value": "v"}
        assert await status(http, "POST", f"{API}/runs/set-tag", json=tag) == writes
        assert await status(http, "DELETE", place) == deletes
        assert await status(http, "POST", f"{API}/runs/delete", json={"run_id": run_id}) == deletes


async def test_a_deletion_stands_in_the_audit(house: House) -> None:
    run, _ = await tracked_run(house.db, house.client, house.a)
    async with door(house.app, house.a.token) as http:
        assert await status(http, "POST", f"{API}/runs/delete", json={"run_id": run.mlflow_run_id}) == 200
    async with house.db.reading() as session:
        entry = (await session.scalars(select(AuditEntry))).one()
    assert (entry.actor_id, entry.object_id) == (house.a.user.id, run.mlflow_run_id)
    assert entry.action == "tracking POST runs/delete"


@pytest.mark.parametrize("details", [False, True])
async def test_a_public_project_shows_parameters_and_metrics(
    house: House, client: TrackingClient, details: bool
) -> None:
    home = await move_in(house.db, client, "open", public=True, public_details=details)
    run, _ = await tracked_run(house.db, client, home)
    run_id = str(run.mlflow_run_id)
    await client.log_params(run_id, {"rate": "0.1"})
    await client.set_tags(run_id, {"mantik.computeBudgetAccount": "acc-17", "mlflow.runName": "shown"})
    async with door(house.app, house.b.token) as http:
        got = await http.get(f"{API}/runs/get", params={"run_id": run_id})
        found = await http.post(f"{API}/runs/search", json={"experiment_ids": [home.experiment_id]})
        listed = await http.get(f"{API}/artifacts/list", params={"run_id": run_id})
        wrote = await http.post(f"{API}/runs/set-tag", json={"run_id": run_id, "key": "k", "value": "v"})
    for answer in (got, found):
        assert "0.1" in answer.text
        assert "shown" in answer.text
        assert ("acc-17" in answer.text) == details
        assert (home.user.name in answer.text) == details
    assert (listed.status_code, wrote.status_code) == (403, 403)


async def test_the_gateways_tags_and_files_are_not_the_users(house: House) -> None:
    run, token = await tracked_run(house.db, house.client, house.a)
    run_id = str(run.mlflow_run_id)
    tag = {"key": "mantik.runId", "value": "x"}
    tries = [
        ("POST", f"{API}/runs/set-tag", {"json": {"run_id": run_id, **tag}}),
        ("POST", f"{API}/runs/delete-tag", {"json": {"run_id": run_id, "key": "mantik.runId"}}),
        ("POST", f"{API}/runs/log-batch", {"json": {"run_id": run_id, "tags": [tag]}}),
        ("POST", f"{API}/runs/create", {"json": {"experiment_id": house.a.experiment_id, "tags": [tag]}}),
        ("PUT", f"{FILES}/{house.a.experiment_id}/{run_id}/artifacts/mantik/job.sh", {"content": b"x"}),
        ("PUT", f"{FILES}/{house.a.experiment_id}/{run_id}/artifacts/%6Dantik/job.sh", {"content": b"x"}),
        ("PUT", f"{FILES}/{house.a.experiment_id}/{run_id}/artifacts/%256Dantik/job.sh", {"content": b"x"}),
        (
            "POST",
            "/ajax-api/2.0/mlflow/upload-artifact",
            {"params": {"run_uuid": run_id, "path": "mantik/job.sh"}, "content": b"x"},
        ),
    ]
    for bearer in (house.a.token, token):
        async with door(house.app, bearer) as http:
            for method, path, options in tries:
                assert await status(http, method, path, **options) == 403, path


async def test_one_name_in_two_projects_needs_the_project(house: House, client: TrackingClient) -> None:
    second = await move_in(house.db, client, "second")
    async with house.db.transaction() as session:
        session.add(Member(project_id=second.project.id, user_id=house.a.user.id, role="researcher"))
    async with door(house.app, house.a.token) as http:
        ask = f"{API}/experiments/get-by-name"
        unclear = await http.get(ask, params={"experiment_name": "main"})
        full = experiment_name(second.project.id, "main")
        clear = await http.get(ask, params={"experiment_name": full})
        model = await http.post(f"{API}/registered-models/create", json={"name": "m"})
    assert (unclear.status_code, model.status_code) == (400, 400)
    assert "<project id>/<experiment>" in unclear.json()["message"]
    assert "<project id>.<model name>" in model.json()["message"]
    assert clear.json()["experiment"]["experiment_id"] == second.experiment_id


async def test_no_two_projects_claim_one_experiment(house: House) -> None:
    with pytest.raises(IntegrityError):
        await a_home(house.db, "thief", mlflow_id=house.a.experiment_id)
    async with door(house.app, house.a.token) as http:
        asked = {"experiment_id": house.a.experiment_id}
        assert await status(http, "GET", f"{API}/experiments/get", params=asked) == 200


async def test_a_run_token_has_only_the_routes_of_its_scope(house: House) -> None:
    run, token = await tracked_run(house.db, house.client, house.a)
    fields = {"run_id": run.mlflow_run_id, "experiment_id": house.a.experiment_id, "name": "m"}
    async with door(house.app, token) as http:
        for route in routes.ROUTES:
            path = "/" + route.prefixes[0] + route.path.replace("{path}", "1/x").replace("{model_id}", "m-0")
            answer = await http.request(route.method, path.replace("{tag_key}", "t"), params=fields, json=fields)
            if route.run_token is Reach.NOTHING:
                assert (answer.status_code, "A run token may not do this." in answer.text) == (403, True), path
            else:
                assert "A run token may not do this." not in answer.text, path


async def test_experiments_are_listed_in_pages_of_ones_own(house: House, client: TrackingClient) -> None:
    mine = [house.a.experiment_id]
    for number in range(4):
        made = await client.ensure_experiment(experiment_name(house.a.project.id, f"e{number}"))
        await client.ensure_experiment(f"of somebody else {house.a.project.id} {number}")
        async with house.db.transaction() as session:
            session.add(
                ExperimentRepository(project_id=house.a.project.id, name=f"e{number}", mlflow_experiment_id=made.id)
            )
        mine.append(made.id)
    seen, token = [], ""
    async with door(house.app, house.a.token) as http:
        for _ in range(3):
            asked = {"max_results": 2, "page_token": token}
            page = (await http.post(f"{API}/experiments/search", json=asked)).json()
            seen.append([e["experiment_id"] for e in page["experiments"]])
            token = page.get("next_page_token", "")
    assert [len(page) for page in seen] == [2, 2, 1]
    assert sorted(e for page in seen for e in page) == sorted(mine)
    assert token == ""
