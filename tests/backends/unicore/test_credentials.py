"""Credentials as headers, and the renewal of tokens that end."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncssh
import jwt
import pytest

from backends.errors import AuthenticationFailed, SiteUnavailable
from backends.spec import Credential, Renewal
from backends.unicore.credentials import current, header
from tests.backends.slurm.ssh.credentials import Credentials
from tests.backends.unicore.proxy import read_request

NOW = datetime.now(UTC)


class Renewing(Credentials):
    """Like the gateway's: keeps what was renewed."""

    async def renew(self, credential: Credential, renewed: Callable[[Credential], Awaitable[Credential]]) -> Credential:
        if credential == self.current:
            self.current = await renewed(credential)
        return self.current


class Issuer:
    """A token endpoint whose refresh tokens work once."""

    def __init__(self) -> None:
        self.url = ""
        self.refresh = "refresh-1"
        self.asked = 0
        self.status = 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        assert request is not None
        self.asked += 1
        form = dict(pair.split("=") for pair in request.body.decode().split("&"))
        if self.status != 200:
            status, said = self.status, b"<html>away</html>"
        elif form["refresh_token"] != self.refresh or form["grant_type"] != "refresh_token":
            status, said = 400, json.dumps({"error": "invalid_grant", "error_description": "Session ended"}).encode()
        else:
            self.refresh = f"refresh-{self.asked + 1}"
            told = {"access_token": f"access-{self.asked}", "expires_in": 120, "refresh_token": self.refresh}
            status, said = 200, json.dumps(told).encode()
        writer.write(
            f"HTTP/1.1 {status} Said\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n".encode() + said
        )
        await writer.drain()
        writer.close()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    yield made
    server.close()


def oidc(issuer: Issuer, ends: datetime) -> Credential:
    return Credential(3, "oidc", None, "access-0", expires_at=ends, renewal=Renewal(issuer.url, "mantik", "refresh-1"))


def test_a_password_of_any_characters() -> None:
    said = header(Credential(1, "password", "älice", "pä:ß")).get_auth_header()
    assert base64.b64decode(said.removeprefix("Basic ")).decode() == "älice:pä:ß"
    said = header(Credential(1, "password", "alice", "a:b")).get_auth_header()
    assert base64.b64decode(said.removeprefix("Basic ")) == b"alice:a:b"


def test_a_token() -> None:
    assert header(Credential(1, "token", None, "abc")).get_auth_header() == "Bearer abc"
    assert header(Credential(1, "none")).get_auth_header() is None


@pytest.mark.parametrize(
    ("kind", "form", "algorithm"),
    [
        ("ssh-ed25519", "openssh", "EdDSA"),
        ("ssh-rsa", "openssh", "RS256"),
        ("ssh-rsa", "pkcs8-pem", "RS256"),
        ("ecdsa-sha2-nistp256", "pkcs8-pem", "ES256"),
    ],
)
def test_a_key_signs_a_token_of_its_own(kind: str, form: str, algorithm: str) -> None:
    key = asyncssh.generate_private_key(kind)
    credential = Credential(1, "ssh-key", "alice", key.export_private_key(form).decode())
    token = header(credential).get_auth_header().removeprefix("Bearer ")
    public = key.convert_to_public().export_public_key("pkcs8-pem")
    values = jwt.decode(token, public, algorithms=[algorithm])
    assert (values["sub"], values["iss"], values["etd"]) == ("alice", "alice", "false")


def test_a_key_that_is_none_is_told_without_showing_it() -> None:
    with pytest.raises(AuthenticationFailed) as refused:
        header(Credential(1, "ssh-key", "alice", "-----BEGIN PRIVATE KEY-----\nsecret\n"))
    assert "secret" not in refused.value.message


async def test_a_token_is_renewed_shortly_before_it_ends_and_kept(issuer: Issuer) -> None:
    source = Renewing(oidc(issuer, NOW + timedelta(seconds=61)))
    assert (await current(source, NOW)).secret == "access-0"
    assert issuer.asked == 0
    for asked, later in ((1, 2), (1, 3)):
        got = await current(source, NOW + timedelta(seconds=later))
        assert (got.secret, got.version) == ("access-1", 3)
        assert issuer.asked == asked
    assert source.current.renewal is not None
    assert source.current.renewal.refresh_token == "refresh-2"


async def test_an_issuer_that_refuses_is_asked_once(issuer: Issuer) -> None:
    source = Renewing(oidc(issuer, NOW))
    issuer.refresh = "another"
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            await current(source, NOW)
    assert (issuer.asked, source.refusals) == (1, [3])


async def test_an_issuer_that_is_away_refuses_nobody(issuer: Issuer) -> None:
    source = Renewing(oidc(issuer, NOW))
    issuer.status = 503
    with pytest.raises(SiteUnavailable):
        await current(source, NOW)
    issuer.status = 200
    assert (await current(source, NOW)).secret == "access-2"
    assert source.refusals == []
