"""By which ids a run is named in paths of the gateway, and for whom."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event

from gateway import clock
from gateway.logs.blobs import DirectoryBlobs
from gateway.runs.moves import record
from gateway.runs.rows import Run
from gateway.runs.states import State
from gateway.tracking.alias import alias
from tests.gateway.tracking.conftest import House
from tests.gateway.tracking.house import Home, add_run, door, join, run_token

STATUS = ("PUT", "/status", "RUNNING")
MACHINE = ("PUT", "/infrastructure", {"hostname": "node1"})
NOTEBOOK = ("PUT", "/notebook-source", {"location": "a.ipynb"})
CALLS = [("GET", "", None), ("GET", "/events", None), ("GET", "/logs", None), STATUS, MACHINE, NOTEBOOK]


@pytest.fixture
def house(house_without_mlflow: House, tmp_path: Path) -> House:
    house_without_mlflow.app.state.context.blobs = DirectoryBlobs(tmp_path)
    return house_without_mlflow


async def linked_run(house: House, home: Home, mlflow_run_id: str | None = None) -> Run:
    run = await add_run(house.db, home, mlflow_run_id=mlflow_run_id or uuid.uuid4().hex)
    async with house.db.transaction() as session:
        record(session, run.id, "state", "It runs.", to=State.RUNNING)
    return run


def ids(run: Run) -> list[str]:
    """All that a client may write for it; the published one makes a UUID of MLflow's id."""
    assert run.mlflow_run_id is not None
    return [str(run.id), alias(run.id), run.mlflow_run_id, str(uuid.UUID(run.mlflow_run_id))]


async def call(
    http: httpx.AsyncClient, home: Home, run_id: str, method: str, below: str, body: object
) -> httpx.Response:
    path = f"http://gateway/api/v1/projects/{home.project.id}/runs/{run_id}{below}"
    return await http.request(method, path, json=body)


@pytest.mark.parametrize(("method", "below", "body"), CALLS)
async def test_every_id_of_a_run_means_it(house: House, method: str, below: str, body: object) -> None:
    run = await linked_run(house, house.a)
    for token in (house.a.token, await run_token(house.db, run)):
        async with door(house.app, token) as http:
            answers = [await call(http, house.a, run_id, method, below, body) for run_id in ids(run)]
            shown = (await call(http, house.a, str(run.id), "GET", "", None)).json()["runId"]
        assert {answer.status_code for answer in answers} == {204 if method == "PUT" else 200}, answers[0].text
        assert below == "" or len({answer.text for answer in answers}) == 1
        assert shown == str(run.id)


@pytest.mark.parametrize("mlflow_words", [False, True], ids=["as we know it", "with dashes"])
async def test_a_run_that_was_reported(house: House, mlflow_words: bool) -> None:
    mlflow_run_id = uuid.uuid4()
    run = await linked_run(house, house.a, str(mlflow_run_id) if mlflow_words else mlflow_run_id.hex)
    async with door(house.app, house.a.token) as http:
        found = [await call(http, house.a, run_id, "GET", "", None) for run_id in ids(run)]
    assert [answer.json()["runId"] for answer in found] == [str(run.id)] * 4


@pytest.mark.parametrize(("method", "below", "body"), CALLS)
async def test_what_is_of_another_project_is_absent(house: House, method: str, below: str, body: object) -> None:
    theirs, own = await linked_run(house, house.b), await linked_run(house, house.a)
    token = await run_token(house.db, own)
    async with door(house.app, house.a.token) as user, door(house.app, token) as job:
        absent = await call(user, house.a, str(uuid.uuid4()), method, below, body)
        assert absent.status_code == 404
        for run_id in ids(theirs):
            told = await call(user, house.a, run_id, method, below, body)
            assert (told.status_code, told.json()["detail"]) == (404, absent.json()["detail"])
            assert (await call(user, house.b, run_id, method, below, body)).status_code == 404
            assert (await call(job, house.a, run_id, method, below, body)).status_code == 403
        for run_id in ids(own):
            assert (await call(job, house.b, run_id, method, below, body)).status_code == 404


async def test_a_run_token_reaches_no_other_run_of_its_project(house: House) -> None:
    other, own = await linked_run(house, house.a), await linked_run(house, house.a)
    async with door(house.app, await run_token(house.db, own)) as job:
        for run_id in (*ids(other), "x", "None"):
            for given in CALLS:
                assert (await call(job, house.a, run_id, *given)).status_code == 403


async def test_an_id_that_two_runs_claim_means_none(house: House) -> None:
    """A member reports a run with the MLflow id of another's: that one's job goes on as if nothing was."""
    run = await linked_run(house, house.a)
    claims = await linked_run(house, house.a, run.mlflow_run_id)
    async with door(house.app, house.a.token) as user, door(house.app, await run_token(house.db, run)) as job:
        for run_id in ids(run)[2:]:
            assert (await call(user, house.a, run_id, "GET", "", None)).status_code == 404
            assert (await call(job, house.a, run_id, "GET", "", None)).json()["runId"] == str(run.id)
        for one in (run, claims):
            assert (await call(user, house.a, str(one.id), "GET", "", None)).json()["runId"] == str(one.id)
    async with house.db.transaction() as session:
        (await session.get_one(Run, claims.id)).deleted_at = clock.now()
    async with door(house.app, house.a.token) as user:
        assert (await call(user, house.a, ids(run)[2], "GET", "", None)).json()["runId"] == str(run.id)


async def test_the_id_of_a_run_is_before_what_another_claims(house: House) -> None:
    run = await linked_run(house, house.a)
    await linked_run(house, house.a, alias(run.id))
    async with door(house.app, house.a.token) as user:
        for run_id in ids(run)[:2]:
            assert (await call(user, house.a, run_id, "GET", "", None)).json()["runId"] == str(run.id)


@pytest.mark.parametrize(
    ("role", "status"), [("guest", 403), ("reporter", 403), ("researcher", 403), ("maintainer", 204)]
)
async def test_roles_hold_under_every_id(house: House, role: str, status: int) -> None:
    run = await linked_run(house, house.a)
    async with door(house.app, await join(house.db, house.a, role)) as http:
        for run_id in ids(run):
            for given in (STATUS, MACHINE, NOTEBOOK):
                assert (await call(http, house.a, run_id, *given)).status_code == status
            assert (await call(http, house.a, run_id, "GET", "", None)).status_code == 200


@contextmanager
def look_ups(house: House) -> Iterator[list[str]]:
    """The statements that ask whose an id of MLflow is."""
    heard: list[str] = []

    def note(*given: object) -> None:
        if "runs.mlflow_run_id IN" in str(given[2]):
            heard.append(str(given[2]))

    engine = house.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield heard
    event.remove(engine, "before_cursor_execute", note)


async def test_only_what_no_run_has_is_looked_up(house: House) -> None:
    run = await linked_run(house, house.a)
    counts = []
    for token in (house.a.token, await run_token(house.db, run)):
        async with door(house.app, token) as http:
            for run_id in ids(run):
                with look_ups(house) as heard:
                    assert (await call(http, house.a, run_id, "GET", "", None)).status_code == 200
                counts.append(len(heard))
    assert counts == [0, 0, 1, 1, *[0] * 4]
