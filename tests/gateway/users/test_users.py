"""Users, API tokens, and who is out at once."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from gateway import clock
from gateway.context import Context
from gateway.users.rows import ApiToken, RefreshToken
from gateway.users.service import ensure_first_admin
from gateway.users.tokens import AccessTokens
from tests.gateway.world import World


async def test_the_first_admin_is_made_once(context: Context) -> None:
    first = await ensure_first_admin(context.db, context.passwords, "admin")
    assert first is not None
    assert len(first[1]) >= 20
    assert await ensure_first_admin(context.db, context.passwords, "admin") is None


async def test_a_disabled_user_is_out_at_once_with_every_token(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    admin = await world.person("admin", admin=True)
    body = {"name": "bob", "password": "a long password"}
    bob = (await api.post("/users", json=body, headers=admin.headers)).json()["userId"]
    login = {"username": "bob", "password": body["password"]}
    tokens = (await api.post("/mantik/tokens/create", json=login)).json()
    access = {"Authorization": f"Bearer {tokens['AccessToken']}"}
    personal = (await api.post("/users/me/tokens", json={"name": "ci"}, headers=access)).json()["token"]
    script = {"Authorization": f"Bearer {personal}"}
    assert [(await api.get("/users/me", headers=h)).status_code for h in (access, script)] == [200, 200]
    assert (await api.post(f"/users/{bob}/disable", headers=admin.headers)).status_code == 204
    assert [(await api.get("/users/me", headers=h)).status_code for h in (access, script)] == [401, 401]
    assert (await api.post("/mantik/tokens/create", json=login)).status_code == 401
    renew = {"username": "bob", "refresh_token": tokens["RefreshToken"]}
    assert (await api.post("/mantik/tokens/refresh", json=renew)).status_code == 401
    await api.post(f"/users/{bob}/enable", headers=admin.headers)
    assert (await api.post("/mantik/tokens/create", json=login)).status_code == 201
    assert (await api.post("/mantik/tokens/refresh", json=renew)).status_code == 401, "old logins stay ended"
    async with context.db.reading() as session:
        stored = [*await session.scalars(select(RefreshToken.token_hash))]
    assert tokens["RefreshToken"] not in stored


async def test_a_run_token_goes_with_its_user(api: httpx.AsyncClient, world: World) -> None:
    admin, place = await world.person("admin", admin=True), await world.run(await world.place())
    path = f"/projects/{place.ids['projectId']}/runs/{place.ids['runId']}"
    assert (await api.get(path, headers=place.run_headers)).status_code == 200
    await api.post(f"/users/{place.ids['userId']}/disable", headers=admin.headers)
    assert (await api.get(path, headers=place.run_headers)).status_code == 401


async def test_a_run_token_opens_no_project(api: httpx.AsyncClient, world: World) -> None:
    place, other = await world.run(await world.place()), await world.place(public=True)
    for project in (place.ids["projectId"], other.ids["projectId"]):
        assert (await api.get(f"/projects/{project}", headers=place.run_headers)).status_code == 403
    elsewhere = f"/projects/{other.ids['projectId']}/runs/{place.ids['runId']}"
    assert (await api.get(elsewhere, headers=place.run_headers)).status_code == 404
    assert (await api.get("/projects", headers=place.run_headers)).status_code == 403


async def test_an_api_token_is_shown_once_lives_its_time_and_is_revoked(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    alice, start = await world.person("alice"), clock.now()
    ends = (start + timedelta(minutes=30)).isoformat()
    made = (await api.post("/users/me/tokens", json={"name": "a", "expiresAt": ends}, headers=alice.headers)).json()
    listed = (await api.get("/users/me/tokens", headers=alice.headers)).text
    assert made["token"] not in listed
    script = {"Authorization": f"Bearer {made['token']}"}
    assert (await api.get("/users/me", headers=script)).status_code == 200
    async with context.db.reading() as session:
        row = (await session.scalars(select(ApiToken))).one()
    assert row.last_used_at is not None
    assert made["token"] not in row.token_hash
    clock.use(lambda: start + timedelta(minutes=31))
    assert (await api.get("/users/me", headers=script)).status_code == 401
    clock.use(None)
    await api.delete(f"/users/me/tokens/{made['tokenId']}", headers=alice.headers)
    assert (await api.get("/users/me", headers=script)).status_code == 401


async def test_an_api_token_cannot_make_another(api: httpx.AsyncClient, world: World) -> None:
    alice = await world.person("alice")
    made = (await api.post("/users/me/tokens", json={"name": "a"}, headers=alice.headers)).json()
    answer = await api.post(
        "/users/me/tokens", json={"name": "b"}, headers={"Authorization": f"Bearer {made['token']}"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("bearer", ["", "x", "a.b.c", "mantik_pat_x", "mrt_x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."])
async def test_a_false_token_opens_nothing(api: httpx.AsyncClient, bearer: str) -> None:
    answer = await api.get("/users/me", headers={"Authorization": f"Bearer {bearer}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_of_another_gateway_is_false_and_an_older_key_still_counts(
    api: httpx.AsyncClient, world: World
) -> None:
    alice = await world.person("alice")
    foreign = AccessTokens([b"x" * 32]).issue(alice.id)[0]
    answer = await api.get("/users/me", headers={"Authorization": f"Bearer {foreign}"})
    assert answer.status_code == 401
    assert AccessTokens([b"n" * 32, b"x" * 32]).login_of(foreign).user_id == alice.id


async def test_a_user_is_found_by_the_whole_name_only(api: httpx.AsyncClient, world: World) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    found = await api.get("/users?name=bob", headers=alice.headers)
    unknown = {"isAdmin": None, "disabledAt": None, "createdAt": None}
    assert found.json()["items"] == [{"userId": str(bob.id), "name": "bob", **unknown}]
    assert (await api.get("/users?name=bo", headers=alice.headers)).json()["items"] == []
    assert (await api.get("/users", headers=alice.headers)).status_code == 422


async def test_a_taken_name_and_a_short_password_are_refused(api: httpx.AsyncClient, world: World) -> None:
    admin = await world.person("admin", admin=True)
    body = {"name": "admin", "password": "a long password"}
    taken = await api.post("/users", json=body, headers=admin.headers)
    assert (taken.status_code, "name: there is a user admin" in taken.json()["detail"]) == (409, True)
    short = await api.post("/users", json={"name": "bob", "password": "short"}, headers=admin.headers)
    assert "password: " in short.json()["detail"]
    assert "short" not in short.json()["detail"].replace("shorter", "")
