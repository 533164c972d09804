"""Which issuers are asked, what their answers mean, and what nobody sees of it."""

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import AuthenticationFailed, SiteUnavailable
from gateway.connections.issuers import SETTING, Renewal, TokenIssuers
from gateway.errors import InvalidInput
from gateway.git_hosts import GitHosts
from tests.backends.unicore.certificate import self_signed
from tests.token_issuer import TokenIssuer, serving

OURS = GitHosts(("127.0.0.1",), setting=SETTING)


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with serving() as made:
        yield made


@pytest.fixture
def issuers() -> TokenIssuers:
    return TokenIssuers(OURS)


def renewal(issuer: TokenIssuer, **changes: Any) -> Renewal:
    values = {"token_url": issuer.token_url, "client_id": "mantik", "refresh_token": issuer.refresh} | changes
    return Renewal(**values)


async def test_a_refresh_token_is_traded_for_a_token(issuer: TokenIssuer, issuers: TokenIssuers) -> None:
    issuer.client_secret = "client-secret"
    wanted = renewal(issuer, client_secret="client-secret", scope="openid email")
    tokens = await issuers.renew(wanted)
    assert tokens.access in issuer.tokens
    assert (tokens.refresh, tokens.ends_at - tokens.issued_at) == (issuer.refresh, timedelta(seconds=300))
    assert tokens.ends_at - tokens.renew_at == timedelta(seconds=60)
    (form,) = issuer.asked
    assert form == {
        "grant_type": "refresh_token",
        "refresh_token": wanted.refresh_token,
        "client_id": "mantik",
        "client_secret": "client-secret",
        "scope": "openid email",
    }
    assert tokens.access not in repr(tokens)
    assert "client-secret" not in repr(wanted)


@pytest.mark.parametrize(
    ("told", "life", "early"),
    [
        ({"expires_in": 20}, 20, 10),
        ({"expires_in": "600"}, 600, 60),
        ({}, 300, 60),
        ({"expires_in": "soon"}, 300, 60),
        ({"expires_in": 1e300}, 300, 60),
        ({"expires_in": -5}, 1, 0.5),
    ],
)
async def test_how_long_a_token_lasts(
    issuer: TokenIssuer, issuers: TokenIssuers, told: dict[str, object], life: float, early: float
) -> None:
    issuer.away = (200, {"access_token": "a", **told})
    tokens = await issuers.renew(renewal(issuer))
    assert (tokens.ends_at - tokens.issued_at, tokens.ends_at - tokens.renew_at) == (
        timedelta(seconds=life),
        timedelta(seconds=early),
    )
    assert tokens.refresh is None


@pytest.mark.parametrize(
    ("said", "next_step"),
    [
        ({"error": "invalid_grant"}, "invalid_grant. Log in anew: give the connection a new refresh token."),
        ({"error": "invalid_client"}, "Check clientId and clientSecret of the connection, and log in anew."),
        ({"error": "invalid_scope", "error_description": "no such"}, "no such. Check the scope of the connection"),
    ],
)
async def test_a_refusal_says_the_next_step(
    issuer: TokenIssuer, issuers: TokenIssuers, said: Mapping[str, Any], next_step: str
) -> None:
    for status in (400, 401, 403):
        issuer.away = (status, said)
        with pytest.raises(AuthenticationFailed) as refused:
            await issuers.renew(renewal(issuer))
        assert refused.value.message.startswith(f"The token issuer {issuer.token_url} does not renew the login: ")
        assert next_step in refused.value.message


async def test_an_issuer_that_repeats_a_secret_does_not_bring_it_into_a_message(
    issuer: TokenIssuer, issuers: TokenIssuers
) -> None:
    with pytest.raises(AuthenticationFailed) as refused:
        await issuers.renew(renewal(issuer, refresh_token="my-old-token"))
    assert issuer.asked[0]["refresh_token"] == "my-old-token"
    assert "my-old-token" not in refused.value.message + refused.value.text
    assert "Session not active for ***" in refused.value.message


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": "server_error"}),
        (503, b"<html>maintenance</html>"),
        (429, {"error": "slow_down"}),
        (403, b"<html>a firewall</html>"),
        (307, b""),
        (200, b"no json"),
        (200, b"[1]"),
        (200, {"expires_in": 5}),
        (200, {"access_token": ""}),
        (200, {"access_token": "two words"}),
        (200, {"access_token": ["list"]}),
        (200, b" " * (2 << 20)),
    ],
)
async def test_any_other_answer_refuses_nobody(
    issuer: TokenIssuer, issuers: TokenIssuers, answer: tuple[int, Mapping[str, Any] | bytes]
) -> None:
    issuer.away = answer
    with pytest.raises(SiteUnavailable, match="without a token that can be sent"):
        await issuers.renew(renewal(issuer))


async def test_an_issuer_that_is_away_refuses_nobody(issuers: TokenIssuers) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/token"
        with pytest.raises(SiteUnavailable, match=r"could not be asked"):
            await issuers.renew(Renewal(url, "mantik", "r"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("issuer.example/token", "tokenUrl: this is no address"),
        ("https://", "tokenUrl: this is no address"),
        ("https://issuer.example:port/", "tokenUrl: this is no address"),
        ("https://issuer.example/ token", "tokenUrl: this is no address"),
        ("http://issuer.example/token", "tokenUrl: only https is taken. Give https://host/path."),
        ("http://127.0.0.1/token", "tokenUrl: only https is taken"),
        ("file:///etc/passwd", "tokenUrl: this is no address"),
        ("https://me:word@issuer.example/token", "tokenUrl: leave out user names"),
        ("https://issuer.example/token?a=b", "tokenUrl: leave out user names, and what follows `?`"),
        ("https://127.0.0.1/token", "in a network that is not public"),
        ("https://2130706433/token", "in a network that is not public"),
        ("https://169.254.169.254/latest", "ask your operator to name this one in MANTIK_ALLOWED_TOKEN_HOSTS"),
        ("https://localhost/token", "in a network that is not public"),
        ("https://[::1]/token", "in a network that is not public"),
    ],
)
async def test_an_address_that_is_not_asked(url: str, words: str) -> None:
    issuers = TokenIssuers()
    with pytest.raises(InvalidInput) as refused:
        issuers.check_url(url, "tokenUrl")
    assert words in refused.value.detail
    with pytest.raises(SiteUnavailable, match="tokenUrl"):
        await issuers.renew(Renewal(url, "mantik", "r"))


def test_only_hosts_that_the_operator_names() -> None:
    named = TokenIssuers(GitHosts(("login.centre.example", "127.0.0.1"), setting=SETTING))
    assert named.check_url("https://login.centre.example/token/", "tokenUrl") == "https://login.centre.example/token"
    with pytest.raises(InvalidInput, match=r"asks these issuers only: login\.centre\.example"):
        named.check_url("https://another.example/token", "tokenUrl")
    with pytest.raises(InvalidInput, match="only https is taken"):
        named.check_url("http://login.centre.example/token", "tokenUrl")


async def test_a_name_that_leads_inside_is_not_asked(issuer: TokenIssuer) -> None:
    async def inside(host: str) -> Sequence[str]:
        return ["1.1.1.1", "10.0.0.1"]

    issuers = TokenIssuers(GitHosts(look_up=inside, setting=SETTING))
    with pytest.raises(SiteUnavailable, match=r"h\.example is on the gateway's machine or in a network"):
        await issuers.renew(Renewal("https://h.example/token", "mantik", "r"))


@dataclass(frozen=True, slots=True)
class Judged(GitHosts):
    """As if the addresses of this machine were public."""

    def check(self, host: str) -> None:
        assert host == "localhost"

    async def addresses(self, host: str) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]


async def test_the_address_that_was_judged_is_asked_in_the_name_of_the_host(tmp_path: Path) -> None:
    """The first address has nobody; the certificate is that of the name, and another name is not taken."""
    certificate, key = self_signed(tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    ours = ssl.create_default_context(cafile=str(certificate))
    with serving(context=theirs) as issuer:
        port = issuer.url.rpartition(":")[2]
        there = renewal(issuer, token_url=f"https://localhost:{port}/token")
        tokens = await TokenIssuers(Judged(), ours).renew(there)
        assert tokens.access in issuer.tokens
        assert issuer.hosts == [f"localhost:{port}"]
        with pytest.raises(SiteUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await TokenIssuers(Judged()).renew(there)


async def test_an_issuer_names_its_token_endpoint(issuer: TokenIssuer, issuers: TokenIssuers) -> None:
    assert await issuers.token_url(f"{issuer.url}/") == issuer.token_url


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nowhere", "answered 404 and names no token_endpoint. Give its token endpoint as tokenUrl instead."),
        ("/elsewhere", "Give that address, or tokenUrl."),
    ],
)
async def test_an_issuer_that_names_none(issuer: TokenIssuer, issuers: TokenIssuers, path: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await issuers.token_url(issuer.url + path)
    assert refused.value.detail.startswith("issuer: ")
    assert words in refused.value.detail


async def test_an_issuer_cannot_send_us_inside(
    issuer: TokenIssuer, issuers: TokenIssuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = (200, {"issuer": issuer.url, "token_endpoint": "https://10.0.0.1/token"})
    monkeypatch.setattr(TokenIssuer, "discovery", lambda self: inside)
    with pytest.raises(InvalidInput, match="its token endpoint: the gateway asks these issuers only"):
        await issuers.token_url(issuer.url)
