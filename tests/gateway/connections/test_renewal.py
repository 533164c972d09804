"""Tokens that end: renewed in time, once for all tasks and gateways, and no refresh token is lost."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.errors import AuthenticationFailed, SiteUnavailable
from gateway import clock
from gateway.connections.credentials import StoredCredentials
from gateway.connections.issuers import SETTING, TokenIssuers
from gateway.connections.renewal import _asked
from gateway.connections.rows import Connection, CredentialVersion
from gateway.context import Context
from gateway.db.lease import Lease, later
from gateway.db.session import Database
from gateway.git_hosts import GitHosts
from gateway.secrets.rows import Secret
from gateway.secrets.vault import Vault
from tests.gateway.connections.making import make_token_connection
from tests.gateway.world import World
from tests.token_issuer import TokenIssuer, serving


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with serving() as made:
        yield made


@pytest.fixture
async def connection(api: httpx.AsyncClient, world: World, context: Context, issuer: TokenIssuer) -> UUID:
    return await make_token_connection(api, world, context, issuer)


def gateway(context: Context, connection: UUID, *, owner_asks: bool = False) -> StoredCredentials:
    """As in a process of its own: it shares the database with the others, and nothing else."""
    issuers = TokenIssuers(GitHosts(("127.0.0.1",), setting=SETTING))
    return StoredCredentials(context.db, context.vault, connection, owner_asks=owner_asks, issuers=issuers)


def wait(seconds: float) -> None:
    """Until the clock says so much later."""
    now = clock.now() + timedelta(seconds=seconds)
    clock.use(lambda: now)


async def refresh_token(context: Context, connection: UUID) -> str:
    held = await gateway(context, connection, owner_asks=True).held()
    assert held.token is not None
    return held.token.refresh_token


async def test_a_token_is_had_at_the_first_use_and_kept_until_shortly_before_it_ends(
    context: Context, connection: UUID, issuer: TokenIssuer
) -> None:
    source = gateway(context, connection)
    first = await source.get()
    assert (first.method, first.version, first.secret in issuer.tokens) == ("oidc", 1, True)
    wait(239)
    assert (await gateway(context, connection).get()).secret == first.secret
    assert len(issuer.asked) == 1
    wait(2)
    second = await source.get()
    assert second.secret != first.secret
    assert second.expires_at is not None
    assert second.expires_at - clock.now() > timedelta(seconds=290)
    assert len(issuer.asked) == 2
    assert await refresh_token(context, connection) == issuer.refresh, "the one that came with it"
    async with context.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Secret)) == 1


async def test_many_tasks_and_gateways_ask_once(context: Context, connection: UUID, issuer: TokenIssuer) -> None:
    gateways = [gateway(context, connection) for _ in range(4)]
    got = await asyncio.gather(*(source.get() for source in gateways for _ in range(8)))
    assert len({credential.secret for credential in got}) == 1
    assert len(issuer.asked) == 1
    wait(1000)
    got = await asyncio.gather(*(source.get() for source in gateways for _ in range(8)))
    assert len({credential.secret for credential in got}) == 1
    assert len(issuer.asked) == 2
    assert await refresh_token(context, connection) == issuer.refresh


async def test_what_is_stored_is_not_readable(context: Context, connection: UUID, issuer: TokenIssuer) -> None:
    credential = await gateway(context, connection).get()
    async with context.db.reading() as session:
        (kept,) = await session.scalars(select(Secret.ciphertext))
    for secret in (credential.secret or "", issuer.refresh):
        assert secret.encode() not in kept


async def test_who_is_cancelled_loses_no_refresh_token(context: Context, connection: UUID, issuer: TokenIssuer) -> None:
    """The issuer has traded it in when its answer comes late."""
    source = gateway(context, connection)
    issuer.gate.clear()
    task = asyncio.create_task(source.get())
    assert await asyncio.to_thread(issuer.reached.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    issuer.gate.set()
    await source.issuers.aclose()
    assert await refresh_token(context, connection) == issuer.refresh
    assert (await gateway(context, connection).get()).secret in issuer.tokens
    assert len(issuer.asked) == 1


async def test_a_database_that_is_away_when_the_answer_comes_loses_no_refresh_token(
    context: Context, connection: UUID, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = gateway(context, connection)

    async def away(self: Vault, session: AsyncSession, plaintext: str) -> UUID:
        raise OSError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "store", away)
        with pytest.raises(OSError, match="away"):
            await source.get()
    assert (await source.get()).secret in issuer.tokens
    assert len(issuer.asked) == 1
    assert await refresh_token(context, connection) == issuer.refresh


async def test_a_gateway_that_died_while_it_asked_holds_nobody_up_for_long(
    context: Context, connection: UUID, issuer: TokenIssuer
) -> None:
    name = f"token:{connection}"
    async with context.db.transaction() as session:
        session.add(Lease(name=name, owner="dead", epoch=7))
        await session.flush()
        await session.execute(update(Lease).where(Lease.name == name).values(until=later(session, 1)))
    assert (await gateway(context, connection).get()).secret in issuer.tokens


async def test_a_gateway_that_lost_its_lease_takes_what_the_other_one_stored(
    context: Context, connection: UUID, issuer: TokenIssuer
) -> None:
    """The slow one is refused, for its refresh token is used up: that is no refusal of the login."""
    slow, quick = gateway(context, connection), gateway(context, connection)
    held = await slow.held()
    stale = issuer.refresh
    got = await quick.get()
    issuer.asked.clear()
    async with context.db.transaction() as session:
        await session.execute(update(Lease).values(owner=None))
    await _asked(slow, held)
    assert issuer.asked[0]["refresh_token"] == stale
    assert (await slow.get()).secret == got.secret


async def test_a_revoked_login_is_asked_for_once_and_a_new_one_goes_on(
    context: Context, connection: UUID, issuer: TokenIssuer, api: httpx.AsyncClient, world: World
) -> None:
    await gateway(context, connection).get()
    issuer.revoke()
    issuer.asked.clear()
    wait(1000)
    with pytest.raises(AuthenticationFailed, match=r"does not renew the login: Session not active for \*\*\*\. Log in"):
        await gateway(context, connection).get()
    again = r"^Connection login: this credential was refused on .* \(its issuer says: Session not active for \*\*\*\); "
    for _ in range(3):
        with pytest.raises(AuthenticationFailed, match=again):
            await gateway(context, connection).get()
    assert len(issuer.asked) == 1
    assert [entry.action for entry in await world.audit()].count("credential.refused") == 1

    owner = await world.person("owner")
    path = f"/users/{owner.id}/settings/connections/{connection}"
    shown = (await api.get(path, headers=owner.headers)).json()
    assert shown["refusedAt"] is not None
    assert shown["refusedText"].startswith("its issuer says: Session not active")
    answer = await api.put(
        f"{path}/credential?check=false", json={"refreshToken": issuer.login()}, headers=owner.headers
    )
    assert (answer.status_code, answer.json()["version"], answer.json()["refusedAt"]) == (200, 2, None)
    assert (answer.json()["tokenUrl"], answer.json()["clientId"]) == (issuer.token_url, "mantik")
    assert (await gateway(context, connection).get()).version == 2


async def test_an_issuer_that_is_away(context: Context, connection: UUID, issuer: TokenIssuer) -> None:
    """The token that there is goes on until it ends; then nothing is known, and nothing is refused."""
    source = gateway(context, connection)
    first = await source.get()
    issuer.away = (503, b"maintenance")
    wait(250)
    assert (await source.get()).secret == first.secret
    wait(60)
    with pytest.raises(SiteUnavailable, match="answered 503"):
        await source.get()
    issuer.away = None
    assert (await source.get()).secret in issuer.tokens
    async with context.db.reading() as session:
        assert await session.scalar(select(CredentialVersion.refused_at)) is None


async def test_a_token_that_the_site_refuses_is_replaced_unless_it_is_new(
    context: Context, connection: UUID, issuer: TokenIssuer
) -> None:
    source = gateway(context, connection)
    first = await source.get()
    assert (await source.renew(first)).secret == first.secret, "nothing better is to be had"
    wait(31)
    second = await source.renew(first)
    assert second.secret != first.secret
    assert (await gateway(context, connection).renew(first)).secret == second.secret, "somebody did that already"
    assert len(issuer.asked) == 2


async def test_an_issuer_that_keeps_its_refresh_token(context: Context, connection: UUID, issuer: TokenIssuer) -> None:
    issuer.rotates = False
    source = gateway(context, connection)
    for _ in range(3):
        await source.get()
        wait(1000)
    assert len({form["refresh_token"] for form in issuer.asked}) == 1
    assert len(issuer.asked) == 3


async def test_a_new_login_that_comes_while_the_old_one_is_renewed_stays(
    context: Context, connection: UUID, issuer: TokenIssuer, api: httpx.AsyncClient, world: World
) -> None:
    source = gateway(context, connection)
    issuer.gate.clear()
    task = asyncio.create_task(source.get())
    assert await asyncio.to_thread(issuer.reached.wait, 10)
    owner = await world.person("owner")
    path = f"/users/{owner.id}/settings/connections/{connection}/credential?check=false"
    await api.put(path, json={"refreshToken": "the-owners-own"}, headers=owner.headers)
    issuer.gate.set()
    with pytest.raises(AuthenticationFailed, match="Session not active"):
        await task  # with the new one, that the issuer does not know
    assert [form["refresh_token"] == "the-owners-own" for form in issuer.asked] == [False, True]
    assert await refresh_token(context, connection) == "the-owners-own"


async def test_a_client_secret_goes_to_its_own_issuer_only(
    context: Context, api: httpx.AsyncClient, world: World, issuer: TokenIssuer
) -> None:
    issuer.client_secret = "client-secret"
    connection = await make_token_connection(api, world, context, issuer, clientSecret="client-secret")
    assert (await gateway(context, connection).get()).secret in issuer.tokens
    owner = await world.person("owner")
    path = f"/users/{owner.id}/settings/connections/{connection}/credential?check=false"
    again = await api.put(path, json={"refreshToken": issuer.login()}, headers=owner.headers)
    assert again.status_code == 200
    assert (await gateway(context, connection).get()).secret in issuer.tokens
    assert issuer.asked[-1]["client_secret"] == "client-secret"
    with serving() as other:
        body = {"refreshToken": other.refresh, "tokenUrl": other.token_url}
        assert (await api.put(path, json=body, headers=owner.headers)).status_code == 200
        await gateway(context, connection).get()
        assert "client_secret" not in other.asked[-1]


async def test_a_dropped_connection_has_no_token(context: Context, connection: UUID, database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(update(CredentialVersion).values(secret_id=None))
        await session.execute(update(Connection).values(retired_at=clock.now()))
    with pytest.raises(AuthenticationFailed, match="was dropped; its credential is gone"):
        await gateway(context, connection).get()
