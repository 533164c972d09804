"""Runs executed elsewhere: stored, told of, never submitted."""

import uuid

import httpx
import pytest

from gateway.projects.rows import Member
from tests.gateway.world import Place, World


def runs(place: Place) -> str:
    return f"/projects/{place.ids['projectId']}/runs"


async def report(api: httpx.AsyncClient, world: World, place: Place) -> str:
    body = {"name": "laptop", "experimentRepositoryId": place.ids["experimentRepositoryId"], "backendConfig": {}}
    researcher = (await world.person("researcher")).headers
    answer = await api.post(f"{runs(place)}?submit=False", json=body, headers=researcher)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["runId"])


async def test_status_moves_a_reported_run(api: httpx.AsyncClient, world: World) -> None:
    place = await world.place()
    path = f"{runs(place)}/{await report(api, world, place)}"
    headers = (await world.person("researcher")).headers
    for status, state in (("RUNNING", "RUNNING"), ("RUNNING", "RUNNING"), ("KILLED", "CANCELLED")):
        assert (await api.put(f"{path}/status", json=status, headers=headers)).status_code == 204
        run = (await api.get(path, headers=headers)).json()
        assert (run["state"], run["origin"], run["job"]) == (state, "reported", None)
    late = await api.put(f"{path}/status", json="RUNNING", headers=headers)
    assert (late.status_code, late.json()["detail"]) == (409, "The run is CANCELLED and cannot become RUNNING.")


async def test_a_status_of_anothers_run_is_for_a_maintainer(api: httpx.AsyncClient, world: World) -> None:
    place = await world.place()
    path = f"{runs(place)}/{await report(api, world, place)}/status"
    async with world.context.db.transaction() as session:
        other = await world.person("colleague")
        session.add(Member(project_id=uuid.UUID(place.ids["projectId"]), user_id=other.id, role="researcher"))
    refused = await api.put(path, json="KILLED", headers=other.headers)
    assert (refused.status_code, refused.json()["detail"].split(".")[0]) == (403, "This is another's run")
    maintainer = (await world.person("maintainer")).headers
    assert (await api.put(path, json="KILLED", headers=maintainer)).status_code == 204


async def test_status_of_a_submitted_run_is_only_an_event(api: httpx.AsyncClient, world: World) -> None:
    place = await world.run(await world.place(), state="RUNNING")
    path = f"{runs(place)}/{place.ids['runId']}"
    assert (await api.put(f"{path}/status", json="FINISHED", headers=place.run_headers)).status_code == 204
    headers = (await world.person("owner")).headers
    assert (await api.get(path, headers=headers)).json()["state"] == "RUNNING"
    events = (await api.get(f"{path}/events", headers=headers)).json()["items"]
    assert events[-1]["text"] == "The job says FINISHED."


@pytest.mark.parametrize(
    "changes", [{"experimentRepositoryId": str(uuid.uuid4())}, {"codeRepositoryId": str(uuid.uuid4())}]
)
async def test_unknown_repository(api: httpx.AsyncClient, world: World, changes: dict[str, str]) -> None:
    place = await world.place()
    body = {"name": "x", "experimentRepositoryId": place.ids["experimentRepositoryId"]} | changes
    headers = (await world.person("researcher")).headers
    answer = await api.post(f"{runs(place)}?submit=false", json=body, headers=headers)
    assert answer.status_code == 422
    assert next(iter(changes)) in answer.json()["detail"]


async def test_unknown_status(api: httpx.AsyncClient, world: World) -> None:
    place = await world.place()
    path = f"{runs(place)}/{await report(api, world, place)}/status"
    answer = await api.put(path, json="DONE", headers=(await world.person("researcher")).headers)
    assert answer.status_code == 422
    assert "SCHEDULED, RUNNING, FINISHED, FAILED, KILLED" in answer.json()["detail"]
