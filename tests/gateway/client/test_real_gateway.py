"""The client against the gateway's own application, so that the wire of the other tests is the true one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from gateway.client import AsyncClient, LogEvent
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from gateway.schemas.projects import CreateExperiment, CreateProject
from gateway.schemas.runs import SubmitRun
from gateway.schemas.users import CreateApiToken, CreateUser
from gateway.settings import Settings
from tests.gateway.client.conftest import QUICK
from tests.gateway.world import World

URL = "http://gateway.test/api/v1"
PASSWORD = "correct horse battery"
Open = Callable[..., AsyncClient]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"local_open": True})


@pytest.fixture
async def open_client(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    def transport(**_: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app))

    async with AsyncExitStack() as stack:

        def make(**given: str) -> AsyncClient:
            client = AsyncClient(URL, retries=QUICK, token_directory=tmp_path / "logins", **given)  # type: ignore[arg-type]
            monkeypatch.setattr(client._driver, "_http", transport())
            stack.push_async_callback(client.close)
            return client

        yield make


def bearer(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


async def test_login_tokens_and_errors(open_client: Open, world: World, api: httpx.AsyncClient) -> None:
    admin = await world.person("root", admin=True)
    await api.post("/users", json={"name": "ada", "password": PASSWORD}, headers=admin.headers)
    with pytest.raises(Unauthenticated, match="does not accept this password of ada"):
        await open_client(username="ada", password="wrong horse battery").me()
    client = open_client(username="ada", password=PASSWORD)
    assert (await client.me()).name == "ada"
    client._session._stored = None
    file = next(Path(client._session._file.path.parent).glob("*.json"))
    file.write_text(file.read_text().replace('"access_token": "', '"access_token": "x'))
    assert (await client.projects.create(CreateProject(name="demo"))).role == "owner"
    made = await client.tokens.create(CreateApiToken(name="ci"))
    scripted = open_client(username="ada", password=made.token)
    assert [p.name async for p in scripted.projects.list()] == ["demo"]
    await client.tokens.delete("ci")
    assert [t async for t in client.tokens.list()] == []
    with pytest.raises(NotFound, match="Did you mean demo"):
        await client.projects.get("dmo")
    with pytest.raises(InvalidInput):
        await client.project("demo").experiments.create(CreateExperiment.model_construct(name=""))


async def test_a_run(open_client: Open, world: World) -> None:
    place = await world.place()
    ended = await world.run(place, state="FINISHED")
    owner = await world.person("owner")
    client = open_client(token=bearer(owner.headers), project=place.ids["projectId"])
    body = SubmitRun(
        name="first",
        experiment_repository_id=UUID(place.ids["experimentRepositoryId"]),
        code_repository_id=UUID(place.ids["codeRepositoryId"]),
        connection_id=UUID(place.ids["connectionId"]),
        branch="main",
        backend_config={"Local": {}, "Resources": {"Queue": "q"}},
    )
    made = await client.runs.submit(body)
    assert (await client.runs.get("first")).run_id == made.run_id
    assert [r.name async for r in client.runs.list()] == ["first", "run"]
    assert [e.kind async for e in client.runs.events(made.run_id)] == ["state"]
    assert (await client.runs.cancel(made.run_id)).cancel_requested_at is not None
    events = [e async for e in client.runs.logs(ended.ids["runId"], follow=True)]
    assert events == [LogEvent("state", "0.0", "FINISHED"), LogEvent("end", "0.0", "FINISHED")]
    assert [p.data async for p in client.runs.read_log(ended.ids["runId"], tail=5)] == [b""]
    assert (await client.runs.wait(ended.ids["runId"])).state == "FINISHED"
    await client.runs.delete(ended.ids["runId"])


async def test_users_and_members(open_client: Open, world: World) -> None:
    admin = open_client(token=bearer((await world.person("root", admin=True)).headers))
    made = await admin.users.create(CreateUser(name="ada", password=PASSWORD))
    assert (made.name, made.is_admin, made.disabled_at) == ("ada", False, None)
    with pytest.raises(Conflict, match="there is a user ada"):
        await admin.users.create(CreateUser(name="ada", password=PASSWORD))
    bob = await admin.users.create(CreateUser(name="bob", password=PASSWORD))
    ada = open_client(username="ada", password=PASSWORD)
    await ada.projects.create(CreateProject(name="shared"))
    shared = ada.project("shared").members
    assert (await shared.set("bob", "guest")).role == "guest"
    assert [(m.user.name, m.role) for m in await shared.list()] == [("ada", "owner"), ("bob", "guest")]
    assert (await shared.set(bob.user_id, "maintainer")).role == "maintainer"
    assert (await ada.users.get("bob")).created_at is None, "only an admin sees more than the name"
    for refused in (ada.users.get(bob.user_id), ada.users.disable("bob")):
        with pytest.raises(Forbidden):
            await refused
    await admin.users.disable("bob")
    with pytest.raises(Unauthenticated):
        await open_client(username="bob", password=PASSWORD).me()
    with pytest.raises(NotFound, match="no user named bob"):
        await ada.users.get("bob")
    states = {user.name: user.disabled_at is None async for user in admin.users.list()}
    assert states == {"root": True, "ada": True, "bob": False}
    await shared.remove("bob")
    with pytest.raises(NotFound, match="bob is not a member"):
        await shared.remove("bob")
    await admin.users.enable(bob.user_id)
    assert (await open_client(username="bob", password=PASSWORD).me()).name == "bob"
