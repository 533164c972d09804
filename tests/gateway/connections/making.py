"""Sites and connections made through the API."""

from typing import Any
from uuid import UUID

import httpx

from gateway.connections.issuers import SETTING
from gateway.context import Context
from gateway.git_hosts import GitHosts
from tests.gateway.world import Person, World
from tests.token_issuer import TokenIssuer

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGc3ZDJmY2Y4YzQ4ZTQ0YjA5ZTQ0ZTQ0ZTQ0ZTQ0"


async def make_site(api: httpx.AsyncClient, world: World, name: str = "cluster") -> str:
    admin = await world.person("admin", admin=True)
    body = {"name": name, "kind": "slurm", "host": "login.example.org", "hostKeys": []}
    answer = await api.post("/sites", json=body, headers=admin.headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["siteId"])


async def make_connection(
    api: httpx.AsyncClient, world: World, *, password: str = "hunter2", name: str = "mine"
) -> tuple[Person, UUID]:
    """A connection with a password, of the owner, unchecked."""
    owner = await world.person("owner")
    body = {**ssh(await make_site(api, world, f"site of {name}"), name), "authMethod": "Username-Password"}
    answer = await post(api, owner, {**body, "password": password})
    assert answer.status_code == 201, answer.text
    return owner, UUID(answer.json()["connectionId"])


def ssh(site_id: str, name: str = "mine") -> dict[str, Any]:
    return {
        "connectionName": name,
        "connectionProvider": "SSH",
        "authMethod": "SSH-Key",
        "siteId": site_id,
        "loginName": "alice",
    }


async def post(api: httpx.AsyncClient, person: Person, body: dict[str, Any], check: str = "false") -> httpx.Response:
    path = f"/users/{person.id}/settings/connections?check={check}"
    return await api.post(path, json=body, headers=person.headers)


async def make_token_connection(
    api: httpx.AsyncClient, world: World, context: Context, issuer: TokenIssuer, **changes: Any
) -> UUID:
    """A connection `login` of the owner to a UNICORE site, unchecked, whose tokens the issuer gives. The operator of
    the gateway has named the issuer's host."""
    context.issuers._hosts = GitHosts(("127.0.0.1",), setting=SETTING)
    admin, owner = await world.person("admin", admin=True), await world.person("owner")
    site = {"name": "unicore", "kind": "unicore", "url": "https://unicore.example/rest/core"}
    made = await api.post("/sites", json=site, headers=admin.headers)
    body = {
        "connectionName": "login",
        "connectionProvider": "UNICORE",
        "authMethod": "OIDC",
        "siteId": made.json()["siteId"],
        "refreshToken": issuer.refresh,
        "tokenUrl": issuer.token_url,
        "clientId": "mantik",
        **changes,
    }
    answer = await post(api, owner, body)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["connectionId"])
