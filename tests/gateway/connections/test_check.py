"""Checking a connection against a kind of site that says what the test wants."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from backends import registry
from backends.backend import CredentialSource
from backends.errors import AuthenticationFailed, SiteUnavailable
from backends.spec import Account, Queue, Site, SiteInfo
from gateway.connections.credentials import StoredCredentials
from gateway.context import Context
from tests.gateway.connections.making import make_connection, make_site, post, ssh
from tests.gateway.world import World

INFO = SiteInfo("alice", "login1", "slurm 25", "/home/alice/mantik", (Queue("batch"),), (Account("hpc1"),))


class FakeKind:
    """A site that takes one password and may be away."""

    name = "slurm"

    def __init__(self) -> None:
        self.password = "hunter2"
        self.logins = 0
        self.away = False

    def open(self, site: Site, credentials: CredentialSource) -> AbstractAsyncContextManager[Any]:
        self.credentials = credentials
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator["FakeKind"]:
        yield self

    async def check(self) -> SiteInfo:
        if self.away:
            raise SiteUnavailable("login1 does not answer; try again later.", text="timed out")
        credential = await self.credentials.get()
        self.logins += 1
        if credential.secret != self.password:
            await self.credentials.refused(credential, "Permission denied (password).")
            raise AuthenticationFailed("It refused the password.", text="Permission denied (password).")
        return INFO


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> FakeKind:
    kind = FakeKind()
    monkeypatch.setattr(registry, "kind", lambda name: kind)
    return kind


async def test_a_check_says_who_i_am_there_and_is_kept(api: httpx.AsyncClient, world: World, site: FakeKind) -> None:
    owner, connection_id = await make_connection(api, world)
    path = f"/users/{owner.id}/settings/connections/{connection_id}"
    answer = await api.post(f"{path}/check", headers=owner.headers)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["user"], found["queues"][0]["name"], found["accounts"][0]["name"]) == ("alice", "batch", "hpc1")
    last = (await api.get(path, headers=owner.headers)).json()["lastCheck"]
    assert last["ok"] is True
    assert last["site"]["workDirectory"] == "/home/alice/mantik"


async def test_a_wrong_password_is_one_failed_login_until_the_owner_acts(
    api: httpx.AsyncClient, world: World, site: FakeKind, context: Context
) -> None:
    owner, connection_id = await make_connection(api, world, password="wrong")
    path = f"/users/{owner.id}/settings/connections/{connection_id}"
    answer = await api.post(f"{path}/check", headers=owner.headers)
    assert answer.status_code == 502
    assert "refused the password. It said: Permission denied" in answer.json()["detail"]
    assert "wrong" not in answer.text
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            await StoredCredentials(context.db, context.vault, connection_id).get()
    assert site.logins == 1
    assert (await api.get(path, headers=owner.headers)).json()["refusedAt"] is not None
    renewed = await api.put(f"{path}/credential", json={"password": "hunter2"}, headers=owner.headers)
    assert (renewed.json()["version"], renewed.json()["refusedAt"]) == (2, None)
    assert renewed.json()["lastCheck"]["ok"] is True


async def test_a_success_clears_a_refusal(api: httpx.AsyncClient, world: World, site: FakeKind) -> None:
    owner, connection_id = await make_connection(api, world)
    path = f"/users/{owner.id}/settings/connections/{connection_id}"
    site.password = "the key was not there yet"
    assert (await api.post(f"{path}/check", headers=owner.headers)).status_code == 502
    site.password = "hunter2"
    assert (await api.post(f"{path}/check", headers=owner.headers)).status_code == 200
    assert (await api.get(path, headers=owner.headers)).json()["refusedAt"] is None


async def test_a_site_that_is_away_refuses_nothing(api: httpx.AsyncClient, world: World, site: FakeKind) -> None:
    owner, cluster = await world.person("owner"), await make_site(api, world)
    site.away = True
    body = {**ssh(cluster), "authMethod": "Username-Password", "password": "hunter2"}
    made = await post(api, owner, body, check="true")
    assert made.status_code == 201
    assert made.json()["lastCheck"]["error"] == "login1 does not answer; try again later. It said: timed out"
    assert made.json()["refusedAt"] is None


async def test_a_git_connection_says_when_it_is_used(api: httpx.AsyncClient, world: World) -> None:
    owner = await world.person("owner")
    body = {"connectionName": "git", "connectionProvider": "Git", "authMethod": "Token", "token": "t"}
    made = await post(api, owner, {**body, "origin": "https://git.example.org/"}, check="true")
    assert (made.status_code, made.json()["origin"]) == (201, "https://git.example.org")
    path = f"/users/{owner.id}/settings/connections/{made.json()['connectionId']}/check"
    assert "not to a site" in (await api.post(path, headers=owner.headers)).json()["detail"]
