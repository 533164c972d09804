"""Signatures as the specification says, and which addresses are spoken to."""

import asyncio
import re
import socket
import ssl
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import clock
from gateway.errors import InvalidInput
from gateway.git_hosts import GitHosts
from gateway.subscriptions import webhooks
from gateway.subscriptions.message import Message
from gateway.subscriptions.signature import headers, new_secret
from gateway.subscriptions.webhooks import MOST_ANSWER, SETTING, Webhooks
from gateway.subscriptions.words import EventName
from tests.docs.pages import ROOT
from tests.gateway.subscriptions.certificate import certificate
from tests.gateway.subscriptions.receiver import Receiver, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT = datetime.fromtimestamp(1614265330, UTC)
MESSAGE = Message(uuid.UUID(int=7), EventName.TEST, AT, "It works.", uuid.UUID(int=8))


def test_the_signature_is_that_of_the_reference_libraries() -> None:
    """Their published example."""
    made = headers(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", AT, b'{"test": 2432232314}')
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_secrets_differ() -> None:
    made = {new_secret() for _ in range(10)}
    assert len(made) == 10
    assert all(secret.startswith("whsec_") and len(secret) == 50 for secret in made)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example.org/a", "url: only https is taken."),
        ("ftp://hooks.example.org/a", "url: only https is taken."),
        ("https:///a", "url: this is no address."),
        ("hooks.example.org/a", "url: this is no address."),
        ("https://hooks.example.org/a b", "url: this is no address."),
        ("https://hooks.example.org:99999/", "url: this is no address."),
        ("https://ada:secret@hooks.example.org/", "url: leave out user names"),
        ("https://hooks.example.org/#part", "url: leave out user names"),
        ("https://127.0.0.1/", SETTING),
        ("https://localhost/", SETTING),
        ("https://[::1]/", SETTING),
        ("https://10.1.2.3/", SETTING),
        ("https://169.254.169.254/latest/meta-data", SETTING),
        ("https://0x7f000001/", SETTING),
        (f"https://{'a' * 64}.com/", f"url: {'a' * 64}.com is no name of a host. Give one whose parts"),
        ("https://a..b/", "url: a..b is no name of a host."),
        ("https://[fec0::1]/", SETTING),
        ("http://127.0.0.1:8080/", "url: only https is taken."),
    ],
)
def test_an_address_that_is_not_taken(url: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Webhooks().check_url(url)
    assert words in caught.value.detail


def test_an_address_that_is_taken() -> None:
    url = "https://hooks.example.org:8443/a?token=b"
    assert Webhooks().check_url(url) == url


def test_the_operator_may_name_the_hosts() -> None:
    named = Webhooks(GitHosts(("chat.intern", "127.0.0.1"), setting=SETTING))
    assert named.check_url("https://chat.intern/a")
    assert named.check_url("http://127.0.0.1:9000/a")
    for url, words in {
        "https://hooks.example.org/a": "the gateway tells these hosts only: chat.intern, 127.0.0.1.",
        "http://chat.intern/a": "only https is taken",
    }.items():
        with pytest.raises(InvalidInput) as caught:
            named.check_url(url)
        assert words in caught.value.detail


async def test_a_name_that_leads_into_a_private_network_is_not_spoken_to(receiver: Receiver) -> None:
    async def look_up(_: str) -> Sequence[str]:
        return ["127.0.0.1"]

    there = receiver.url.replace("http://127.0.0.1", "https://hooks.example.org")
    receipt = await Webhooks(GitHosts(look_up=look_up, setting=SETTING)).send(there, SECRET, MESSAGE)
    assert not receipt.delivered
    assert SETTING in (receipt.problem or "")
    assert receiver.requests == []


async def test_a_name_that_nobody_knows_is_a_problem_and_no_error() -> None:
    async def look_up(_: str) -> Sequence[str]:
        raise OSError("Name or service not known")

    receipt = await Webhooks(GitHosts(look_up=look_up)).send("https://hooks.example.org/", SECRET, MESSAGE)
    assert receipt.problem == "The receiver could not be reached: Name or service not known."


async def test_only_the_beginning_of_an_answer_is_read(receiver: Receiver, own: Webhooks) -> None:
    receiver.status, receiver.body = 200, b"x" * 50_000_000
    receipt = await own.send(receiver.url, SECRET, MESSAGE)
    assert receipt.delivered
    assert receipt.answer == "x" * MOST_ANSWER


async def test_an_answer_is_shown_without_control_characters(receiver: Receiver, own: Webhooks) -> None:
    receiver.status, receiver.body = 200, b"\x1b[31mred\x00\xff"
    assert (await own.send(receiver.url, SECRET, MESSAGE)).answer == "[31mred \N{REPLACEMENT CHARACTER}"


async def test_a_receiver_that_drips_is_cut_off(own: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "ANSWER_SECONDS", 0.5)
    with _dripping() as url:
        receipt = await asyncio.wait_for(own.send(url, SECRET, MESSAGE), 10)
    assert not receipt.delivered
    assert "did not answer within" in (receipt.problem or "")


@contextmanager
def _dripping() -> Iterator[str]:
    """A server that answers a byte at a time and comes to no end."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                while not done.wait(0.05):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        done.set()
        thread.join()


class Here(GitHosts):
    """Takes every name for this machine."""

    async def addresses(self, host: str) -> Sequence[str]:
        return ["127.0.0.1"]


async def test_certificates_are_checked_against_the_name(tmp_path: Path) -> None:
    """The address was looked up before; the certificate has to be that of the host all the same."""
    pem = certificate(tmp_path, "hooks.example.org")
    trusted = ssl.create_default_context(cafile=str(pem))
    with receiving(certificate=pem) as receiver:
        port = receiver.url.split(":")[2].split("/")[0]

        good = f"https://hooks.example.org:{port}/a?b=c"
        receipt = await Webhooks(Here(), trusted).send(good, SECRET, MESSAGE)
        assert receipt.delivered, receipt.problem
        assert receiver.requests[0].path == "/a?b=c"
        assert receiver.requests[0].headers["host"] == f"hooks.example.org:{port}"
        for receipt in (
            await Webhooks(Here(), trusted).send(good.replace("hooks.", "other."), SECRET, MESSAGE),
            await Webhooks(Here()).send(good, SECRET, MESSAGE),
        ):
            assert not receipt.delivered
            assert "certificate verify failed" in (receipt.problem or "").lower()
        assert len(receiver.requests) == 1


@pytest.fixture
def own() -> Webhooks:
    return Webhooks(GitHosts(("127.0.0.1",), setting=SETTING))


def test_the_code_of_the_how_to_checks_a_signature() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/how-to/get-notified.md").read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(code, scope)
    secret, body, now = new_secret(), MESSAGE.body(), clock.now()
    sent = headers(secret, MESSAGE.id, now, body)
    assert scope["is_ours"](secret, sent, body)
    assert scope["is_ours"](secret, sent | {"webhook-signature": f"v1,b2xk {sent['webhook-signature']}"}, body)
    assert not scope["is_ours"](new_secret(), sent, body)
    assert not scope["is_ours"](secret, sent, body + b" ")
    assert not scope["is_ours"](secret, headers(secret, MESSAGE.id, now - timedelta(hours=1), body), body)
    assert len(code.split("def ")[1].strip().splitlines()) == 6
