"""Sites and connections made through the API."""

from typing import Any
from uuid import UUID

import httpx

from tests.gateway.world import Person, World

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
