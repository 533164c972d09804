"""Experiment and code repositories over the API."""

from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from gateway.context import Context
from gateway.repositories.experiments import complete
from gateway.runs.rows import Run
from tests.gateway.connections.making import post
from tests.gateway.fake_mlflow import FakeMlflow
from tests.gateway.world import Person, Place, World


@pytest.fixture
async def place(world: World) -> Place:
    return await world.place()


@pytest.fixture
async def researcher(world: World) -> Person:
    return await world.person("researcher")


def path(place: Place, kind: str) -> str:
    return f"/projects/{place.ids['projectId']}/{kind}"


async def git_connection(api: httpx.AsyncClient, person: Person, origin: str = "https://git.example.org") -> str:
    body = {"connectionName": f"git {origin}", "connectionProvider": "Git", "authMethod": "Token", "token": "t"}
    made = await post(api, person, {**body, "origin": origin})
    return str(made.json()["connectionId"])


async def test_an_experiment_stands_in_mlflow_under_its_project(
    api: httpx.AsyncClient, place: Place, researcher: Person, mlflow: FakeMlflow
) -> None:
    made = await api.post(path(place, "experiments"), json={"name": "mnist"}, headers=researcher.headers)
    assert made.status_code == 201
    assert mlflow.experiments == {f"{place.ids['projectId']}/mnist": made.json()["mlflowExperimentId"]}
    shown = await api.get(
        f"{path(place, 'experiments')}/{made.json()['experimentRepositoryId']}", headers=researcher.headers
    )
    assert shown.json() == made.json()
    assert shown.json()["artifactLocation"].startswith("mlflow-artifacts:/")


async def test_an_experiment_waits_for_an_mlflow_that_is_away(
    api: httpx.AsyncClient, place: Place, researcher: Person, mlflow: FakeMlflow, context: Context
) -> None:
    mlflow.away = True
    made = await api.post(path(place, "experiments"), json={"name": "mnist"}, headers=researcher.headers)
    assert (made.status_code, made.json()["mlflowExperimentId"]) == (201, None)
    mlflow.away = False
    experiment_id = UUID(made.json()["experimentRepositoryId"])
    assert await complete(context.db, context.tracking, experiment_id) == "1"
    assert await complete(context.db, context.tracking, experiment_id) == "1"
    shown = await api.get(f"{path(place, 'experiments')}/{experiment_id}", headers=researcher.headers)
    assert shown.json()["mlflowExperimentId"] == "1"


async def test_the_name_of_an_experiment_stays_and_is_taken_once(
    api: httpx.AsyncClient, place: Place, researcher: Person
) -> None:
    base = path(place, "experiments")
    taken = await api.post(base, json={"name": "experiment"}, headers=researcher.headers)
    assert (taken.status_code, taken.json()["detail"].startswith("name: ")) == (409, True)
    one = f"{base}/{place.ids['experimentRepositoryId']}"
    assert (await api.put(one, json={"name": "other"}, headers=researcher.headers)).status_code == 409
    kept = await api.put(one, json={"name": "experiment", "description": "d"}, headers=researcher.headers)
    assert kept.json()["description"] == "d"


async def test_a_unique_run_name(api: httpx.AsyncClient, world: World, place: Place, context: Context) -> None:
    guest, first, second = await world.person("guest"), await world.run(place), await world.run(place)
    one = f"{path(place, 'experiments')}/{place.ids['experimentRepositoryId']}/unique-mlflow-run-name"
    assert (await api.get(f"{one}?runName=free", headers=guest.headers)).json() == "free"
    assert (await api.get(f"{one}?runName=run", headers=guest.headers)).json() == "run-2"
    async with context.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == UUID(second.ids["runId"])).values(name="run-2"))
    assert (await api.get(f"{one}?runName=run", headers=guest.headers)).json() == "run-3"
    assert first.ids["runId"] != second.ids["runId"]


async def test_a_repository_of_another_project_is_not_there(
    api: httpx.AsyncClient, world: World, place: Place, researcher: Person
) -> None:
    other = await world.place()
    for kind, key in (("experiments", "experimentRepositoryId"), ("code", "codeRepositoryId")):
        answer = await api.get(f"{path(place, kind)}/{other.ids[key]}", headers=researcher.headers)
        assert answer.status_code == 404


async def test_a_repository_with_runs_stays(api: httpx.AsyncClient, world: World, place: Place) -> None:
    owner = await world.person("owner")
    await world.run(place)
    for kind, key in (("experiments", "experimentRepositoryId"), ("code", "codeRepositoryId")):
        assert (await api.delete(f"{path(place, kind)}/{place.ids[key]}", headers=owner.headers)).status_code == 409


async def test_the_published_shape_of_a_code_repository(
    api: httpx.AsyncClient, place: Place, researcher: Person
) -> None:
    own = await git_connection(api, researcher)
    body = {"codeRepositoryName": "c", "uri": "https://git.example.org/a/b.git", "connectionId": own}
    made = await api.post(path(place, "code"), json=body, headers=researcher.headers)
    assert made.status_code == 201, made.text
    assert made.json().items() >= {**body, "platform": "Git"}.items()


async def test_a_connection_is_used_for_its_own_origin_only(
    api: httpx.AsyncClient, world: World, place: Place, researcher: Person
) -> None:
    own = await git_connection(api, researcher, "https://other.example.org")
    body = {"codeRepositoryName": "c", "uri": "https://git.example.org/a/b.git", "connectionId": own}
    answer = await api.post(path(place, "code"), json=body, headers=researcher.headers)
    assert answer.status_code == 422
    assert "for https://other.example.org, and the repository is at https://git.example.org" in answer.json()["detail"]
    foreign = await git_connection(api, await world.person("maintainer"))
    answer = await api.post(path(place, "code"), json={**body, "connectionId": foreign}, headers=researcher.headers)
    assert (answer.status_code, answer.json()["detail"]) == (404, "connectionId: you have no such connection.")


async def test_nobody_points_a_colleagues_connection_elsewhere(
    api: httpx.AsyncClient, world: World, place: Place, researcher: Person
) -> None:
    own = await git_connection(api, researcher)
    body = {"codeRepositoryName": "c", "uri": "https://git.example.org/a", "connectionId": own}
    made = (await api.post(path(place, "code"), json=body, headers=researcher.headers)).json()
    one, other = f"{path(place, 'code')}/{made['codeRepositoryId']}", await world.person("maintainer")
    renamed = await api.put(one, json={**body, "codeRepositoryName": "d"}, headers=other.headers)
    assert renamed.status_code == 200
    stolen = await api.put(one, json={**body, "uri": "https://git.example.org/secret"}, headers=other.headers)
    assert stolen.status_code == 404
