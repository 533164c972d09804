"""What a run tells of its machine and its notebook."""

from typing import Any

import httpx
import pytest

from gateway.runs import whereabouts
from tests.gateway.world import Place, World

GPU = {"name": "NVIDIA A100", "id": "0", "driver": "550.54", "totalMemory": "40960.0"}
MACHINE = {
    "os": "Linux",
    "cpuCores": 96,
    "gpuCount": 1,
    "gpuInfo": [GPU],
    "hostname": "jwb0001",
    "memoryGb": "503.21 GB",
    "platform": "Linux-5.14-x86_64",
    "processor": "x86_64",
    "pythonVersion": "3.11.9",
    "pythonExecutable": "/venv/bin/python",
}
"""As the published client sends it."""
NOTEBOOK = {"location": "/home/a/train.ipynb", "version": "0a1b2c", "provider": "Jupyter"}


async def tell(api: httpx.AsyncClient, place: Place, what: str, body: Any) -> httpx.Response:
    path = "/projects/{projectId}/runs/{runId}/".format(**place.ids)
    return await api.put(path + what, json=body, headers=place.run_headers)


async def told(api: httpx.AsyncClient, place: Place) -> list[dict[str, Any]]:
    path = "/projects/{projectId}/runs/{runId}/events?limit=500".format(**place.ids)
    events = (await api.get(path, headers=place.run_headers)).json()["items"]
    return [event for event in events if event["kind"] == "report"]


@pytest.mark.parametrize(
    ("what", "key", "body", "text"),
    [
        (
            *("infrastructure", "infrastructure", MACHINE),
            "It runs on jwb0001: Linux-5.14-x86_64, 96 CPUs, 1 GPUs, 503.21 GB, Python 3.11.9.",
        ),
        (
            *("notebook-source", "notebookSource", NOTEBOOK),
            "It came from the notebook /home/a/train.ipynb at 0a1b2c.",
        ),
    ],
)
async def test_it_is_kept_once(
    api: httpx.AsyncClient, world: World, what: str, key: str, body: dict[str, Any], text: str
) -> None:
    place = await world.run(await world.place())
    for _ in range(3):
        assert (await tell(api, place, what, body)).status_code == 204
    (event,) = await told(api, place)
    assert (event["text"], event["evidence"]) == (text, {key: body})


async def test_machines_of_one_run_are_kept_up_to_a_bound(
    api: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process of a job fails by being one too many."""
    monkeypatch.setattr(whereabouts, "MOST", 3)
    place = await world.run(await world.place())
    for number in range(5):
        assert (await tell(api, place, "infrastructure", {"hostname": f"node{number}"})).status_code == 204
    assert (await tell(api, place, "notebook-source", NOTEBOOK)).status_code == 204
    texts = [event["text"] for event in await told(api, place)]
    assert texts[:3] == ["It runs on node0.", "It runs on node1.", "It runs on node2."]
    assert len(texts) == 4


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("infrastructure", {"os": "Linux"}, "hostname"),
        ("infrastructure", {"hostname": "a\0b"}, "hostname"),
        ("infrastructure", {**MACHINE, "cpuCores": -1}, "cpuCores"),
        ("infrastructure", {**MACHINE, "gpuInfo": [GPU] * 65}, "gpuInfo"),
        ("infrastructure", {**MACHINE, "gpuInfo": [{**GPU, "x": "y"}]}, "gpuInfo.0.x"),
        ("notebook-source", {"location": ""}, "location"),
        ("notebook-source", {**NOTEBOOK, "location": "x" * 4001}, "location"),
    ],
)
async def test_what_is_wrong_is_named(
    api: httpx.AsyncClient, world: World, what: str, body: dict[str, Any], field: str
) -> None:
    place = await world.run(await world.place())
    answer = await tell(api, place, what, body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert await told(api, place) == []
