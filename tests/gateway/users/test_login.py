"""Logging in as the published client does, and being slowed down."""

from datetime import datetime, timedelta

import httpx
import jwt
import pytest
from fastapi import FastAPI

from gateway import clock
from gateway.context import Context
from gateway.users.service import ensure_first_admin
from gateway.users.throttle import subject_of_address
from tests.gateway.world import World

START = clock.now().replace(microsecond=0)
PASSWORD = "correct horse battery"


@pytest.fixture
async def alice(context: Context) -> str:
    made = await ensure_first_admin(context.db, context.passwords, "alice", PASSWORD)
    assert made is not None
    clock.use(lambda: START)
    return str(made[0])


async def login(api: httpx.AsyncClient, name: str = "alice", password: str = PASSWORD) -> httpx.Response:
    return await api.post("/mantik/tokens/create", json={"username": name, "password": password})


async def refresh(api: httpx.AsyncClient, token: str, name: str = "alice") -> httpx.Response:
    return await api.post("/mantik/tokens/refresh", json={"username": name, "refresh_token": token})


async def test_tokens_are_as_the_published_client_reads_them(api: httpx.AsyncClient, alice: str) -> None:
    tokens = (await login(api)).json()
    assert set(tokens) == {"AccessToken", "RefreshToken", "ExpiresAt"}
    assert jwt.decode(tokens["AccessToken"], options={"verify_signature": False})["sub"] == alice
    assert jwt.get_unverified_header(tokens["AccessToken"])["alg"] == "HS256"
    assert datetime.fromisoformat(tokens["ExpiresAt"]) == START + timedelta(hours=1)
    me = await api.get("/users/me", headers={"Authorization": f"Bearer {tokens['AccessToken']}"})
    assert me.json() == {"userId": alice, "name": "alice", "isAdmin": True}


async def test_a_refresh_gives_another_access_token(api: httpx.AsyncClient, alice: str) -> None:
    tokens = (await login(api)).json()
    clock.use(lambda: START + timedelta(hours=2))
    old = await api.get("/users/me", headers={"Authorization": f"Bearer {tokens['AccessToken']}"})
    assert (old.status_code, "has expired" in old.json()["detail"]) == (401, True)
    fresh = (await refresh(api, tokens["RefreshToken"])).json()
    assert datetime.fromisoformat(fresh["ExpiresAt"]) == START + timedelta(hours=3)
    me = await api.get("/users/me", headers={"Authorization": f"Bearer {fresh['AccessToken']}"})
    assert me.status_code == 200


async def test_the_texts_of_a_failed_refresh(api: httpx.AsyncClient, alice: str) -> None:
    token = (await login(api)).json()["RefreshToken"]
    for answer in (await refresh(api, "nonsense"), await refresh(api, token, name="bob")):
        assert (answer.status_code, answer.json()["detail"]) == (401, "Refresh token is invalid")
    clock.use(lambda: START + timedelta(days=31))
    late = await refresh(api, token)
    assert (late.status_code, late.json()["detail"]) == (401, "Refresh token has expired")


async def test_an_unknown_name_and_a_wrong_password_look_the_same(api: httpx.AsyncClient, alice: str) -> None:
    unknown, wrong = await login(api, "nobody"), await login(api, password="wrong")
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.json()["detail"] == wrong.json()["detail"] == "The user name or the password is wrong."


async def test_the_same_work_is_done_for_an_unknown_name(
    api: httpx.AsyncClient, alice: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    verify = type(context.passwords)._verify

    def counting(self: object, password_hash: str, password: str) -> bool:
        hashed.append(password_hash)
        return verify(context.passwords, password_hash, password)

    monkeypatch.setattr(type(context.passwords), "_verify", counting)
    await login(api, "nobody")
    await login(api, password="wrong")
    assert len(hashed) == 2
    assert hashed[0].split("$")[:4] == hashed[1].split("$")[:4], "the same settings of argon2"


async def test_a_name_is_slowed_down_and_told_when_to_come_again(api: httpx.AsyncClient, alice: str) -> None:
    for _ in range(5):
        assert (await login(api, password="wrong")).status_code == 401
    stopped = await login(api)
    assert stopped.status_code == 429
    again = START + timedelta(seconds=3)
    assert stopped.json()["detail"] == f"Too many failed logins. Try again at {again:%H:%M:%S} UTC."
    assert (await login(api, "bob", "wrong")).status_code == 401, "another name is not slowed down"
    clock.use(lambda: again)
    assert (await login(api)).status_code == 201
    assert (await login(api, password="wrong")).status_code == 401, "a success forgets the failures"


async def test_an_address_is_slowed_down_over_many_names(api: httpx.AsyncClient, alice: str) -> None:
    answers = [(await login(api, f"name{n}", "wrong")).status_code for n in range(22)]
    assert answers == [401] * 20 + [429] * 2
    clock.use(lambda: START + timedelta(hours=1, seconds=1))
    assert (await login(api)).status_code == 201


async def test_an_api_token_is_taken_as_the_password_even_while_the_name_is_slowed_down(
    api: httpx.AsyncClient, alice: str
) -> None:
    headers = {"Authorization": f"Bearer {(await login(api)).json()['AccessToken']}"}
    token = (await api.post("/users/me/tokens", json={"name": "ci"}, headers=headers)).json()["token"]
    for _ in range(6):
        await login(api, password="wrong")
    assert (await login(api)).status_code == 429
    assert (await login(api, password=token)).status_code == 201
    assert (await login(api, "bob", token)).status_code == 401


async def test_a_login_by_an_api_token_is_worth_what_the_token_is(api: httpx.AsyncClient, alice: str) -> None:
    headers = {"Authorization": f"Bearer {(await login(api)).json()['AccessToken']}"}
    ends = (START + timedelta(days=2)).isoformat()
    made = (await api.post("/users/me/tokens", json={"name": "ci", "expiresAt": ends}, headers=headers)).json()
    first, second = [(await login(api, password=made["token"])).json() for _ in range(2)]
    by_token = {"Authorization": f"Bearer {first['AccessToken']}"}
    assert (await api.get("/users/me", headers=by_token)).status_code == 200
    more = await api.post("/users/me/tokens", json={"name": "successor"}, headers=by_token)
    assert (more.status_code, more.json()["code"]) == (403, "FORBIDDEN")
    again = {"Authorization": f"Bearer {(await refresh(api, first['RefreshToken'])).json()['AccessToken']}"}
    assert (await api.post("/users/me/tokens", json={"name": "successor"}, headers=again)).status_code == 403
    clock.use(lambda: START + timedelta(days=2, seconds=1))
    late = await refresh(api, second["RefreshToken"])
    assert (late.status_code, late.json()["detail"]) == (401, "Refresh token has expired")


async def test_a_login_by_an_api_token_ends_when_the_token_is_revoked(api: httpx.AsyncClient, alice: str) -> None:
    headers = {"Authorization": f"Bearer {(await login(api)).json()['AccessToken']}"}
    made = (await api.post("/users/me/tokens", json={"name": "ci"}, headers=headers)).json()
    tokens = (await login(api, password=made["token"])).json()
    assert (await api.delete(f"/users/me/tokens/{made['tokenId']}", headers=headers)).status_code == 204
    by_token = await api.get("/users/me", headers={"Authorization": f"Bearer {tokens['AccessToken']}"})
    renewed = await refresh(api, tokens["RefreshToken"])
    assert (by_token.status_code, renewed.status_code) == (401, 401)
    assert (await api.get("/users/me", headers=headers)).status_code == 200, "the login by password goes on"


async def test_passwords_and_tokens_are_not_in_the_audit(api: httpx.AsyncClient, alice: str, world: World) -> None:
    tokens = (await login(api)).json()
    texts = "".join(f"{e.action} {e.object_id} {e.details}" for e in await world.audit())
    assert "login" in texts
    for secret in (PASSWORD, tokens["AccessToken"], tokens["RefreshToken"]):
        assert secret not in texts


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::7", "2001:db8:1:2:ffff::1", True),
        ("2001:db8:1:2::7", "2001:db8:1:3::7", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("unknown", "testclient", False),
    ],
)
def test_who_has_a_whole_network_counts_once(one: str, other: str, same: bool) -> None:
    assert (subject_of_address(one) == subject_of_address(other)) is same


async def test_another_address_of_the_same_network_does_not_begin_anew(app: FastAPI, alice: str) -> None:
    for n in range(40):
        transport = httpx.ASGITransport(app, client=(f"2001:db8::{n:x}", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test/api/v1") as there:
            last = await login(there, f"name{n}", "wrong")
    assert last.status_code == 429
