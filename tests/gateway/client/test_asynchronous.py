from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.client import AsyncClient
from gateway.errors import NotFound
from gateway.schemas.projects import CreateProject
from gateway.schemas.sites import CreateConnection
from tests.gateway.client.conftest import QUICK
from tests.gateway.client.test_runs import body
from tests.gateway.client.wire import RUN, SITE_INFO, Wire


@pytest.fixture
async def client(wire: Wire, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(
        wire.url, project="demo", username="ada", password=wire.password, retries=QUICK, token_directory=tmp_path
    ) as made:
        yield made


async def test_login_renewal_and_listings(wire: Wire, client: AsyncClient) -> None:
    assert (await client.me()).name == "ada"
    wire.tokens.clear()
    await client.projects.create(CreateProject(name="one"))
    assert [p.name async for p in client.projects.list()] == ["demo", "one"]
    assert (await client.projects.get("one")).role == "owner"
    await client.projects.delete("one")
    with pytest.raises(NotFound):
        await client.projects.get("one")
    assert [e.name async for e in client.experiments.list()] == ["iris"]
    assert (await client.code.get("models")).uri == "https://git.example/models.git"


async def test_sites_and_connections(wire: Wire, client: AsyncClient) -> None:
    assert (await client.sites.scan_host_keys("h")).fingerprints == ["SHA256:abc (ED25519)"]
    assert await client.connections.check("mine") == SITE_INFO
    new = CreateConnection(connection_name="n", connection_provider="Git", auth_method="Token", token="s3cret")
    assert (await client.connections.create(new)).connection_name == "n"
    assert wire.bodies[-1]["token"] == "s3cret"


async def test_a_run_from_submit_to_end(wire: Wire, client: AsyncClient) -> None:
    wire.faults = [("POST", "/runs", "lost")]
    made = await client.runs.submit(body())
    assert len(wire.keys) == 1
    assert (await client.runs.preview(body())).preview_token == "p1"
    wire.streams = [[("log", "0.1", {"text": "a"})], [("log", "0.2", {"text": "b"}), ("end", "0.2", {})]]
    assert [e.text async for e in client.runs.logs(made.run_id, follow=True)] == ["a", "b", ""]
    assert wire.opened[1] == ("0.1", None)
    wire.log = b"one\ntwo\n"
    assert [e.text async for e in client.runs.logs(RUN, tail=1)] == ["two\n"]
    assert b"".join([p.data async for p in client.runs.read_log(RUN)]) == wire.log
    wire.states = ["RUNNING", "FINISHED"]
    assert (await client.runs.wait(RUN)).state == "FINISHED"
    assert len([e async for e in client.runs.events(RUN)]) == 3
    assert [r.state async for r in client.runs.list()] == ["FINISHED"]
    assert (await client.runs.cancel(RUN)).cancel_requested_at is not None
    await client.runs.delete(RUN, cancel=True)
    with pytest.raises(NotFound):
        await client.runs.get(RUN)
