"""Connections over the API: one's own only, secrets nowhere, versions and retirement."""

from uuid import UUID

import httpx
import pytest
from asyncssh import generate_private_key, import_private_key
from sqlalchemy import func, select, update

from backends.errors import AuthenticationFailed
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


UNICORE = {"name": "unicore", "kind": "unicore", "url": "https://unicore.example/rest/core"}
LOGIN = {
    "connectionName": "login",
    "connectionProvider": "UNICORE",
    "authMethod": "OIDC",
    "refreshToken": "r-Secret",
    "clientId": "mantik",
    "clientSecret": "c-Secret",
    "tokenUrl": "https://issuer.example.org/token",
    "preferences": {"group": "project1"},
}


async def unicore(api: httpx.AsyncClient, world: World) -> str:
    admin = await world.person("admin", admin=True)
    return str((await api.post("/sites", json=UNICORE, headers=admin.headers)).json()["siteId"])


async def test_a_login_that_is_renewed_shows_no_secret(api: httpx.AsyncClient, world: World) -> None:
    owner, site = await world.person("owner"), await unicore(api, world)
    made = await post(api, owner, {**LOGIN, "siteId": site})
    assert made.status_code == 201, made.text
    path = f"/users/{owner.id}/settings/connections/{made.json()['connectionId']}"
    shown = await api.get(path, headers=owner.headers)
    assert shown.json()["tokenUrl"] == "https://issuer.example.org/token"
    assert (shown.json()["clientId"], shown.json()["preferences"]) == ("mantik", {"group": "project1"})
    renewed = await api.put(f"{path}/credential?check=false", json={"refreshToken": "n-Secret"}, headers=owner.headers)
    assert renewed.json()["preferences"] == {"group": "project1"}
    changed = {"connectionName": "other", "preferences": {"role": "user"}, "validUntil": "2999-01-01T00:00:00Z"}
    edited = await api.put(f"{path}?check=false", json=changed, headers=owner.headers)
    assert (edited.status_code, edited.json()["version"]) == (200, 3)
    texts = [made.text, shown.text, renewed.text, edited.text, *(str(entry.details) for entry in await world.audit())]
    assert not any("-Secret" in text for text in texts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"refreshToken": None}, "refreshToken: is needed for authMethod OIDC"),
        (
            {"clientId": None},
            "clientId: is needed for authMethod OIDC: the client that the refresh token",
        ),
        (
            {"tokenUrl": None},
            "tokenUrl: is needed for authMethod OIDC: the token endpoint of your issuer.",
        ),
        ({"issuer": "https://issuer.example.org"}, "tokenUrl: give either issuer or tokenUrl."),
        (
            {"tokenUrl": "https://169.254.169.254/token"},
            "tokenUrl: the host 169.254.169.254 is on the gateway's",
        ),
        ({"tokenUrl": "http://issuer.example.org/token"}, "tokenUrl: only https is taken. Give https://host/path."),
        ({"tokenUrl": None, "issuer": "https://10.0.0.1"}, "issuer: the host 10.0.0.1 is on the gateway's machine"),
        ({"refreshToken": "two words"}, "refreshToken: may hold ASCII letters"),
        ({"clientId": "a\nb"}, "clientId: may hold ASCII letters"),
        ({"token": "t"}, "token: does not belong to authMethod OIDC; leave it out."),
        ({"preferences": {"vo": "x"}}, "preferences.vo: site unicore takes no such choice; it takes uid, group, role."),
        ({"preferences": {"group": "a,role:admin"}}, "preferences.group: give one name, without spaces, `,` or `:`"),
        ({"preferences": {"group": ""}}, "preferences.group: give one name"),
        ({"authMethod": "None"}, "does not belong to authMethod None"),
        ({"siteId": None, "origin": "https://git.example.org"}, "preferences: they belong to a site; leave them out."),
    ],
)
async def test_a_login_that_cannot_be_renewed_names_its_field(
    api: httpx.AsyncClient, world: World, change: dict[str, object], words: str
) -> None:
    answer = await post(api, await world.person("owner"), {**LOGIN, "siteId": await unicore(api, world), **change})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_what_a_site_takes_says_its_kind(api: httpx.AsyncClient, world: World) -> None:
    owner = await world.person("owner")
    slurm, remote = await make_site(api, world), await unicore(api, world)
    for body, words in (
        (
            {**LOGIN, "siteId": slurm, "preferences": {}},
            "authMethod: site cluster takes SSH-Key, Username-Password or",
        ),
        (
            {**ssh(slurm), "preferences": {"group": "a"}},
            "preferences.group: site cluster takes no such choice; leave it out.",
        ),
        (
            {**ssh(remote), "authMethod": "None", "loginName": None},
            "authMethod: site unicore takes Username-Password, Token, OIDC or SSH-Key.",
        ),
        (
            {**LOGIN, "preferences": None, "origin": "https://git.example.org"},
            "authMethod: OIDC is for sites; a git or data service takes Token or Username-Password.",
        ),
    ):
        answer = await post(api, owner, body)
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True), answer.text


async def test_other_preferences_are_a_new_version_with_the_same_secret(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    owner, site = await world.person("owner"), await unicore(api, world)
    body = {**ssh(site), "authMethod": "Username-Password", "password": "hunter2", "preferences": {"group": "wrong"}}
    made = (await post(api, owner, body)).json()
    connection_id = UUID(made["connectionId"])
    source = StoredCredentials(context.db, context.vault, connection_id)
    sentence = "preferences.group: 'wrong' is none of yours on this site. Choose one of: a, b."
    await source.refused(await source.get(), sentence)
    with pytest.raises(AuthenticationFailed, match=f"^Connection mine: {sentence}$"):
        await source.get()
    path = f"/users/{owner.id}/settings/connections/{connection_id}?check=false"
    changed = {"connectionName": "mine", "preferences": {"group": "a"}}
    answer = await api.put(path, json=changed, headers=owner.headers)
    assert (answer.json()["version"], answer.json()["refusedAt"]) == (2, None)
    credential = await source.get()
    assert (credential.secret, dict(credential.preferences), credential.version) == ("hunter2", {"group": "a"}, 2)
    same = await api.put(path, json={**changed, "connectionName": "renamed"}, headers=owner.headers)
    assert (same.json()["version"], same.json()["connectionName"]) == (2, "renamed")


async def test_a_connection_cannot_be_changed_to_what_cannot_be(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    owner, site = await world.person("owner"), await unicore(api, world)
    made = (await post(api, owner, {**LOGIN, "siteId": site})).json()
    await post(api, owner, {**LOGIN, "siteId": site, "connectionName": "taken"})
    place = await world.place()
    place.ids["connectionId"] = made["connectionId"]
    await world.run(place)
    path = f"/users/{owner.id}/settings/connections/{made['connectionId']}?check=false"
    for change, status, words in (
        ({"connectionName": "taken"}, 409, "connectionName: you have a connection 'taken' already"),
        ({"preferences": {"vo": "x"}}, 422, "preferences.vo: site unicore takes no such choice"),
        ({"validUntil": "2001-01-01T00:00:00Z"}, 422, "validUntil: must be in the future"),
        ({"preferences": {"uid": "alice2"}}, 409, "preferences.uid: runs of this connection are not done"),
    ):
        body = {"connectionName": "login", "preferences": LOGIN["preferences"], **change}
        answer = await api.put(path, json=body, headers=owner.headers)
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
