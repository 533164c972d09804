"""The way into real servers that take keys and tokens: shown once, again where that is worth it, and what is chosen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.errors import AuthenticationFailed
from backends.spec import Choice, Credential
from backends.unicore.session import Login
from backends.unicore.site_info import site_info
from backends.unicore.transport import Channel
from tests.backends.slurm.ssh.credentials import Credentials, new_key
from tests.backends.unicore.proxy import Proxy, proxied
from tests.site_fixtures import UnicoreSite
from tests.token_issuer import TokenIssuer

pytestmark = pytest.mark.unicore


class Tokens(Credentials):
    """A source whose tokens an issuer gives."""

    def __init__(self, issuer: TokenIssuer, credential: Credential) -> None:
        super().__init__(credential)
        self.issuer = issuer
        self.renewals = 0

    async def renew(self, credential: Credential) -> Credential:
        self.renewals += 1
        self.current = replace(self.current, secret=given(self.issuer))
        return self.current


def given(issuer: TokenIssuer) -> str:
    status, said = issuer.token({"grant_type": "refresh_token", "refresh_token": issuer.refresh})
    assert status == 200
    assert not isinstance(said, bytes)
    return str(said["access_token"])


def with_key(there: UnicoreSite, login: str = "alice") -> Credential:
    return Credential(1, "ssh-key", login, Path(there.private_key).read_text())


def with_password(password: str = "alice-password", **chosen: str) -> Credential:
    return Credential(1, "password", "alice", password, preferences=chosen)


@pytest.fixture
async def proxy(unicore_logins: UnicoreSite) -> AsyncIterator[Proxy]:
    async with proxied(unicore_logins) as made:
        yield made


@asynccontextmanager
async def opened(proxy: Proxy, source: Credentials) -> AsyncIterator[Channel]:
    channel = Channel(proxy.site.site(), source)
    try:
        yield channel
    finally:
        await channel.aclose()


@pytest.mark.parametrize("login", ["alice", "alice-rsa", "alice-ecdsa"])
async def test_a_key_of_each_kind_gets_in(proxy: Proxy, login: str) -> None:
    key = Path(proxy.site.key_of(login)).read_text()
    async with opened(proxy, source := Credentials(Credential(1, "ssh-key", login, key))) as channel:
        me = await channel.me()
        assert (me["client"]["dn"], me["client"]["authenticationMethod"]) == ("CN=Alice, O=Users", "SSHKEY")
        assert await channel.get("/jobs", num="1")
    assert source.refusals == []


@pytest.mark.parametrize("who", ["another key", "another user"])
async def test_a_key_that_is_not_the_users_is_one_failed_login(proxy: Proxy, who: str) -> None:
    if who == "another key":
        source = Credentials(Credential(1, "ssh-key", "alice", new_key().export_private_key().decode()))
    else:
        source = Credentials(with_key(proxy.site, "bob"))
    async with opened(proxy, source) as channel:
        with pytest.raises(AuthenticationFailed, match=r"refused the login of (alice|bob)\. Give a new credential"):
            await channel.me()
    assert (proxy.count(), source.refusals) == (1, [1])


@pytest.mark.parametrize("wrong", [timedelta(days=-1), timedelta(hours=-1)])
async def test_a_key_gets_in_although_our_clock_is_wrong(proxy: Proxy, wrong: timedelta) -> None:
    async with opened(proxy, source := Credentials(with_key(proxy.site))) as channel:
        channel._session._ahead = wrong  # as our own clock would be
        assert (await channel.me())["client"]["dn"] == "CN=Alice, O=Users"
    assert (proxy.count(), source.refusals) == (2, [])


async def test_a_token_of_the_issuer_gets_in_and_a_newer_one_when_it_was_revoked(proxy: Proxy) -> None:
    with proxy.site.issuer() as issuer:
        source = Tokens(issuer, Credential(1, "oidc", None, given(issuer)))
        async with opened(proxy, source) as channel:
            assert (await channel.me())["client"]["dn"] == "CN=Alice, O=Users"
            assert source.renewals == 0
            source.current = replace(source.current, secret="ended-long-ago")
            assert (await channel.me())["client"]["dn"] == "CN=Alice, O=Users"
        assert (source.renewals, source.refusals) == (1, [])


async def test_a_token_that_no_newer_one_replaces_is_refused(proxy: Proxy) -> None:
    with proxy.site.issuer() as issuer:
        issuer.name = "Nobody"
        source = Tokens(issuer, Credential(1, "oidc", None, given(issuer)))
        async with opened(proxy, source) as channel:
            with pytest.raises(AuthenticationFailed) as refused:
                await channel.me()
        assert "anonymous" in refused.value.text
        assert source.refusals == [1]


async def test_what_is_chosen_is_what_counts(proxy: Proxy) -> None:
    source = Credentials(with_password(group="users", role="user"))
    async with opened(proxy, source) as channel:
        me = await channel.me()
        found = site_info(me, {}, host="", work_directory="")
        assert Choice("group", "users", ("nogroup", "users")) in found.choices
        await channel.get("/jobs")
    sent = [(r.path.rpartition("/")[2], r.headers.get("x-unicore-user-preferences")) for r in proxy.seen]
    assert sent[:2] == [("core", None), ("core", "group:users,role:user")]
    assert sent[-1] == ("jobs", "group:users,role:user")


@pytest.mark.parametrize(
    ("chosen", "offered"),
    [
        ({"group": "nosuch"}, "nogroup, users"),
        ({"uid": "root"}, "nobody"),
        ({"role": "admin"}, "user, banned"),
    ],
)
async def test_a_choice_that_the_site_does_not_offer(proxy: Proxy, chosen: dict[str, str], offered: str) -> None:
    source = Credentials(with_password(**chosen))
    async with opened(proxy, source) as channel:
        with pytest.raises(AuthenticationFailed) as refused:
            await channel.me()
    ((name, value),) = chosen.items()
    words = f"preferences.{name}: {value!r} is none of yours on this site. Choose one of: {offered}."
    assert refused.value.message == words
    assert (proxy.count(), source.refusals) == (1, [1])


async def test_a_choice_that_the_site_offers_and_refuses(proxy: Proxy) -> None:
    """UNICORE/X 11 lets nobody in with the role `banned`, and answers as to a wrong password; 10 does."""
    source = Credentials(with_password(role="banned"))
    async with opened(proxy, source) as channel:
        if proxy.site.version.startswith("10."):
            assert (await channel.me())["client"]["role"]["selected"] == "banned"
            return
        with pytest.raises(AuthenticationFailed, match="preferences: the site refuses role 'banned'"):
            await channel.me()
    assert (proxy.count(), source.refusals) == (2, [1])


async def test_a_wrong_password_with_a_choice_is_one_failed_login(proxy: Proxy) -> None:
    source = Credentials(with_password("wrong", group="users"))
    async with opened(proxy, source) as channel:
        with pytest.raises(AuthenticationFailed, match="refused the login of alice"):
            await channel.me()
    assert (proxy.count(), source.refusals) == (1, [1])


def test_a_login_without_a_session_is_over_when_the_credential_ends() -> None:
    now = datetime.now(UTC)
    assert Login({}, None, {}, now).over
    assert not Login({}, None, {}, now + timedelta(minutes=1)).over
    assert not Login({}, {"session": "s"}, {}, now).over, "the server's session goes on"
    assert not Login({}, None, {}).over
