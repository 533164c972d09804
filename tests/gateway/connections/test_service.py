"""Connections over the API: one's own only, secrets nowhere, versions and retirement."""

from uuid import UUID

import httpx
import pytest
from asyncssh import generate_private_key, import_private_key
from sqlalchemy import func, select, update

from gateway.connections.credentials import StoredCredentials
from gateway.connections.retirement import sweep
from gateway.context import Context
from gateway.runs.rows import Run
from gateway.secrets.rows import Secret
from tests.gateway.connections.making import make_connection, make_site, post, ssh
from tests.gateway.world import World


async def test_two_users_cannot_see_each_others_connections(api: httpx.AsyncClient, world: World) -> None:
    owner, connection_id = await make_connection(api, world)
    other = await world.person("stranger")
    base = f"/users/{owner.id}/settings/connections"
    mine = f"/users/{other.id}/settings/connections"
    calls = [
        ("GET", base, None),
        ("GET", f"{base}/{connection_id}", None),
        ("GET", f"{mine}/{connection_id}", None),
        ("PUT", f"{mine}/{connection_id}/credential", {"password": "x"}),
        ("POST", f"{mine}/{connection_id}/check", None),
        ("DELETE", f"{mine}/{connection_id}", None),
    ]
    for method, path, body in calls:
        assert (await api.request(method, path, json=body, headers=other.headers)).status_code == 404, path
    assert (await api.get(mine, headers=other.headers)).json()["items"] == []
    assert (await api.get(f"{base}/{connection_id}", headers=owner.headers)).status_code == 200


async def test_secrets_are_in_no_answer_and_not_in_the_audit(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    owner = await world.person("owner")
    site = await make_site(api, world)
    key = generate_private_key("ssh-ed25519").export_private_key().decode()
    secrets = {"privateKey": key, "password": "Pa55-Secret", "token": "tok-Secret"}
    methods = {"privateKey": "SSH-Key", "password": "Username-Password", "token": "Token"}
    texts = []
    for field, method in methods.items():
        body = {**ssh(site, field), "authMethod": method, field: secrets[field]}
        made = await post(api, owner, body)
        assert made.status_code == 201, made.text
        path = f"/users/{owner.id}/settings/connections/{made.json()['connectionId']}"
        shown = await api.get(path, headers=owner.headers)
        renewed = await api.put(f"{path}/credential?check=false", json={field: secrets[field]}, headers=owner.headers)
        wrong = await post(api, owner, {**body, "loginName": "-x"})
        assert wrong.status_code == 422
        texts += [made.text, shown.text, renewed.text, wrong.text]
    texts += [str(entry.details) for entry in await world.audit()]
    middle = key.splitlines()[1]
    for secret in (middle, "Pa55-Secret", "tok-Secret"):
        assert not any(secret in text for text in texts)
    assert (await api.get(path, headers=owner.headers)).json()["password"] is None


async def test_the_gateway_makes_a_key_and_shows_its_public_part(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    owner = await world.person("owner")
    made = (await post(api, owner, ssh(await make_site(api, world)), check="true")).json()
    assert made["publicKey"].startswith("ssh-ed25519 ")
    assert made["lastCheck"] is None, "the owner must bring the key to the site first"
    credential = await StoredCredentials(context.db, context.vault, UUID(made["connectionId"])).get()
    assert credential.secret is not None
    ours = import_private_key(credential.secret).export_public_key().decode().split()[:2]
    assert ours == made["publicKey"].split()[:2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"authMethod": "Username-Password"}, "password: is needed"),
        ({"authMethod": "Token"}, "token: is needed"),
        ({"password": "x"}, "password: does not belong to authMethod SSH-Key"),
        ({"loginName": None}, "loginName: is needed"),
        ({"privateKey": "not a key"}, "privateKey: this is no private key"),
        ({"siteId": None}, "siteId: give either"),
        ({"origin": "https://git.example.org"}, "siteId: give either"),
        ({"siteId": "00000000-0000-0000-0000-000000000000"}, "siteId: there is no such site"),
        ({"authMethod": "None", "loginName": None}, "authMethod: site cluster takes SSH-Key"),
        ({"validUntil": "2001-01-01T00:00:00Z"}, "validUntil: must be in the future"),
    ],
)
async def test_a_bad_request_names_its_field(
    api: httpx.AsyncClient, world: World, change: dict[str, object], words: str
) -> None:
    body = {**ssh(await make_site(api, world)), **change}
    answer = await post(api, await world.person("owner"), body)
    assert answer.status_code in (404, 422)
    assert words in answer.json()["detail"]


async def test_an_encrypted_key_needs_its_passphrase(api: httpx.AsyncClient, world: World) -> None:
    owner, site = await world.person("owner"), await make_site(api, world)
    key = generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem", passphrase="right").decode()
    body = {**ssh(site), "privateKey": key}
    assert "give its passphrase" in (await post(api, owner, body)).json()["detail"]
    assert "does not open" in (await post(api, owner, {**body, "passphrase": "wrong"})).json()["detail"]
    assert (await post(api, owner, {**body, "passphrase": "right"})).status_code == 201


async def test_a_local_site_is_for_the_admin_of_an_embedded_gateway(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    place = await world.place()
    body = {"connectionName": "local", "connectionProvider": "Local", "authMethod": "None"}
    body["siteId"] = place.ids["siteId"]
    answer = await post(api, await world.person("owner"), body)
    assert (answer.status_code, "only the admin" in answer.json()["detail"]) == (403, True)
    assert (await post(api, await world.person("admin", admin=True), body)).status_code == 201


async def test_a_dropped_connection_keeps_its_secret_while_a_run_lives(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    owner, connection_id = await make_connection(api, world)
    place = await world.place()
    place.ids["connectionId"] = str(connection_id)
    run = await world.run(place)
    path = f"/users/{owner.id}/settings/connections/{connection_id}"
    assert (await api.delete(path, headers=owner.headers)).status_code == 204
    assert (await api.get(path, headers=owner.headers)).status_code == 404
    assert (await StoredCredentials(context.db, context.vault, connection_id).get()).secret == "hunter2"
    assert await sweep(context.db, context.vault) == 0
    async with context.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == UUID(run.ids["runId"])).values(state="FINISHED"))
    assert await sweep(context.db, context.vault) == 1
    assert await sweep(context.db, context.vault) == 0
    async with context.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Secret)) == 0


async def test_a_dropped_name_is_free_again(api: httpx.AsyncClient, world: World) -> None:
    owner, site = await world.person("owner"), await make_site(api, world)
    made = await post(api, owner, ssh(site))
    again = await post(api, owner, ssh(site))
    assert (again.status_code, "connectionName" in again.json()["detail"]) == (409, True)
    path = f"/users/{owner.id}/settings/connections/{made.json()['connectionId']}"
    await api.delete(path, headers=owner.headers)
    assert (await post(api, owner, ssh(site))).status_code == 201
