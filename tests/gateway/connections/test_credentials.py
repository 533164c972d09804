"""The credential of a connection: one refusal stops every path, until its owner acts."""

import asyncio
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from backends.errors import AuthenticationFailed
from gateway import clock
from gateway.connections.credentials import StoredCredentials
from gateway.connections.rows import Connection, CredentialVersion
from gateway.context import Context
from tests.gateway.connections.making import make_connection
from tests.gateway.world import World


async def test_the_current_version_comes_back_with_its_secret(
    context: Context, world: World, api: httpx.AsyncClient
) -> None:
    owner, connection_id = await make_connection(api, world, password="pass word")
    credential = await StoredCredentials(context.db, context.vault, connection_id).get()
    assert (credential.method, credential.login_name, credential.secret) == ("password", "alice", "pass word")
    assert credential.version == 1
    assert "pass word" not in repr(credential)
    assert owner.name == "owner"


async def test_a_refused_version_is_never_given_again_and_audited_once(
    context: Context, world: World, api: httpx.AsyncClient
) -> None:
    _, connection_id = await make_connection(api, world)
    source = StoredCredentials(context.db, context.vault, connection_id)
    credential = await source.get()
    await asyncio.gather(*(source.refused(credential, "Permission denied") for _ in range(5)))
    with pytest.raises(AuthenticationFailed, match=r"refused on .* \(Permission denied\); give a new one") as caught:
        await source.get()
    assert caught.value.text == "Permission denied"
    assert [e.action for e in await world.audit()].count("credential.refused") == 1


async def test_a_late_refusal_of_an_old_version_leaves_the_new_one(
    context: Context, world: World, api: httpx.AsyncClient
) -> None:
    owner, connection_id = await make_connection(api, world)
    source = StoredCredentials(context.db, context.vault, connection_id)
    old = await source.get()
    path = f"/users/{owner.id}/settings/connections/{connection_id}/credential?check=false"
    await api.put(path, json={"password": "new"}, headers=owner.headers)
    await source.refused(old, "late")
    fresh = await source.get()
    assert (fresh.version, fresh.secret) == (2, "new")


async def test_an_ended_credential_is_not_sent_to_the_site(
    context: Context, world: World, api: httpx.AsyncClient
) -> None:
    _, connection_id = await make_connection(api, world)
    async with context.db.transaction() as session:
        version = await session.get_one(CredentialVersion, (connection_id, 1))
        version.valid_until = clock.now() - timedelta(seconds=1)
    with pytest.raises(AuthenticationFailed, match="ended on"):
        await StoredCredentials(context.db, context.vault, connection_id).get()


async def test_the_owner_may_try_a_refused_version(context: Context, world: World, api: httpx.AsyncClient) -> None:
    _, connection_id = await make_connection(api, world)
    source = StoredCredentials(context.db, context.vault, connection_id)
    await source.refused(await source.get(), "no")
    asked = await StoredCredentials(context.db, context.vault, connection_id, owner_asks=True).get()
    assert asked.secret == "hunter2"


async def test_a_connection_without_secret(context: Context, world: World) -> None:
    place = await world.place()
    async with context.db.reading() as session:
        row = await session.get_one(Connection, UUID(place.ids["connectionId"]))
    assert (await StoredCredentials(context.db, context.vault, row.id).get()).method == "none"
