"""Mail by a real SMTP server on loopback: STARTTLS, login, refusals, and what a mail says."""

import asyncio
import base64
import email
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from gateway import clock
from gateway.engine import postman as postman_module
from gateway.errors import InvalidInput
from gateway.settings import Settings, load
from gateway.subscriptions import mail as mail_module
from gateway.subscriptions.mail import Mail, MailServer, mail_server
from gateway.subscriptions.message import Message
from gateway.subscriptions.messengers import Messengers
from gateway.subscriptions.signature import new_secret
from gateway.subscriptions.telling import one_line, prefix_of
from gateway.subscriptions.webhooks import Webhooks, hosts_of
from gateway.subscriptions.words import EventName, Kind
from tests.gateway.subscriptions.certificate import certificate
from tests.gateway.subscriptions.desk import Desk
from tests.gateway.subscriptions.receiver import receiving

ADA = "ada@example.org"
PASSWORD = "correct horse"
LOGIN = {"auth_required": True, "auth_require_tls": True}


@dataclass
class Office:
    """The server, and the mail that it took."""

    host: str = "127.0.0.1"
    port: int = 0
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuses: str = ""
    """Its answer to each recipient."""
    fails: str = ""
    """Its answer to each message."""
    bye: str = "221 Bye"
    """Its answer to QUIT."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Until it is set recipients wait, if `hangs`."""
    hangs: bool = False
    asked: int = 0
    """Recipients that were named."""

    async def handle_RCPT(self, _s: SMTP, _x: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        self.asked += 1
        if self.hangs:
            await self.gate.wait()
        if self.refuses:
            return self.refuses
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _s: SMTP, _x: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.fails:
            return self.fails
        assert isinstance(envelope.content, bytes)
        parsed = cast(EmailMessage, email.message_from_bytes(envelope.content, policy=default))
        self.taken.append((envelope.rcpt_tos, parsed))
        return "250 taken"

    async def handle_QUIT(self, _s: SMTP, _x: Session, _e: Envelope) -> str:  # noqa: N802
        return self.bye

    def login(self, _s: SMTP, _x: Session, _e: Envelope, _m: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append(given.login.decode())
        return AuthResult(success=given.password == PASSWORD.encode(), handled=False)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Office]:
    """In the loop of the test; `tls` from the first byte."""
    office, loop = Office(), asyncio.get_running_loop()
    if options.get("auth_required"):
        options["authenticator"] = office.login
    server = await loop.create_server(
        lambda: SMTP(office, hostname="localhost", loop=loop, **options), office.host, ssl=tls
    )
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def plain() -> AsyncIterator[Office]:
    async with serving() as office:
        yield office


def server_of(office: Office, **more: Any) -> MailServer:
    return replace(MailServer(office.host, office.port, "none", "Mantik <mantik@example.org>"), **more)


def message(text: str = "Run train failed.", event: EventName = EventName.RUN_FAILED) -> Message:
    return Message(uuid.uuid4(), event, clock.now(), text, uuid.UUID(int=8), run_id=uuid.UUID(int=3))


async def test_a_failed_run_is_mailed(desk: Desk, plain: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.context = desk.yard.context = replace(desk.context, messengers=Messengers(mail=Mail(server_of(plain))))
    await desk.subscribe(kind="mail", url=None, address=ADA)
    await desk.yard.engine()
    run_id = await desk.failed_run()
    (delivery,) = await desk.until(1)
    ((to, mail),) = plain.taken
    assert (to, mail["To"], mail["From"]) == ([ADA], ADA, "Mantik <mantik@example.org>")
    assert mail["Subject"].startswith("[mantik] Run run of owner in project ")
    assert mail["Message-ID"] == f"<{delivery.id}@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_content()
    assert f"mantik runs describe {run_id}" in body
    assert "hunter2" not in body, "no word of the log"
    assert (delivery.status, delivery.attempts) == (250, 1)


async def test_a_subject_of_any_letters_arrives(plain: Office) -> None:
    text = f"Run ünïcode\N{SNOWMAN} of a long name {'x' * 100} failed."
    receipt = await Mail(server_of(plain)).send(ADA, message(text))
    assert receipt.delivered
    assert plain.taken[0][1]["Subject"] == f"[mantik] {text}"


EVIL = "x\r\nReply-To: evil@x.example\r\n\r\nPay here"
WORDS = [
    "=?utf-8?q?x=0D=0AReply-To:_evil@x.example=0D=0A=0D=0APay_here?=",
    f"=?utf-8?b?{base64.b64encode(EVIL.encode()).decode()}?=",
    "=?utf-8?b?Cg==?=",
    "a =?us-ascii?Q?=0A?= =?iso-8859-1*en?q?=0D=0A_b?=",
]


@pytest.mark.parametrize("name", [*WORDS, EVIL])
async def test_a_name_makes_no_headers_and_no_body(plain: Office, name: str) -> None:
    """Names come from others: encoded words in them (RFC 2047) stay as they were written."""
    text = f"Run {one_line(name)} failed."
    made = message(text)
    flat = made.mail("Mantik <mantik@example.org>", ADA, clock.now())
    parsed = cast(EmailMessage, email.message_from_bytes(flat.as_bytes(), policy=default))
    assert (await Mail(server_of(plain)).send(ADA, made)).delivered
    for arrived in (parsed, plain.taken[0][1]):
        ours = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"}
        ours |= {"MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
        assert set(arrived.keys()) == ours
        assert arrived["Subject"] == f"[mantik] {text}"
        assert arrived.get_content().splitlines()[:2] == [text, ""]
        assert arrived.defects == []


def test_an_address_makes_no_headers() -> None:
    """It may hold all the letters of an encoded word."""
    flat = message().mail("Universität <mantik@example.org>", "=?utf-8?q?x=0D=0AReply-To?=@example.org", clock.now())
    lines = flat.as_bytes().splitlines()
    assert b"To: =?utf-8?q?x=0D=0AReply-To?=@example.org" in lines
    assert not [line for line in lines if line.startswith(b"Reply-To")]
    sender = email.message_from_bytes(flat.as_bytes(), policy=default)["From"]
    assert sender == "Universität <mantik@example.org>"


@pytest.mark.parametrize("address", ["a@b\nBcc: c@d", "a b@c", "<a@b>", "a@b,c@d", "nobody", "@b", "a@", "a@b@c"])
async def test_what_is_no_address_is_refused(plain: Office, address: str) -> None:
    with pytest.raises(InvalidInput, match="address: this is no mail address"):
        Mail(server_of(plain)).check_address(address)


async def test_the_operator_may_name_the_domains(plain: Office) -> None:
    mail = Mail(server_of(plain, domains=("Uni.Example", "lab.example")))
    assert mail.check_address("ada@uni.example") == "ada@uni.example"
    with pytest.raises(InvalidInput, match=r"to these domains only: Uni\.Example, lab\.example"):
        mail.check_address(ADA)


async def test_a_password_goes_over_starttls(tmp_path: Path) -> None:
    context, trusted = _tls(tmp_path)
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    async with serving(tls_context=context, require_starttls=True, **LOGIN) as office:
        mine = server_of(office, host="localhost", security="starttls", user="mantik", password_file=file)
        assert (await Mail(replace(mine, trusted=trusted)).send(ADA, message())).delivered
        assert office.logins == ["mantik"]
        file.write_text("wrong")
        receipt = await Mail(replace(mine, trusted=trusted)).send(ADA, message())
        assert (receipt.delivered, receipt.status, receipt.final) == (False, 535, False)
        assert "wrong" not in (receipt.problem or "")
        receipt = await Mail(mine).send(ADA, message())
        assert "certificate verify failed" in (receipt.problem or "").lower()
        assert len(office.taken) == 1


async def test_a_server_without_starttls_gets_no_mail(plain: Office) -> None:
    receipt = await Mail(server_of(plain, security="starttls")).send(ADA, message())
    assert not receipt.delivered
    assert "STARTTLS" in (receipt.problem or "")
    assert plain.taken == []


async def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    context, trusted = _tls(tmp_path)
    async with serving(context) as office:
        mine = server_of(office, host="localhost", security="tls", trusted=trusted)
        assert (await Mail(mine).send(ADA, message())).delivered


def _tls(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    pem = certificate(folder, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context, ssl.create_default_context(cafile=str(pem))


@pytest.mark.parametrize(("said", "final"), [("550 5.1.1 no such user", True), ("451 4.7.1 come back later", False)])
async def test_an_address_that_is_refused(plain: Office, said: str, final: bool) -> None:
    plain.refuses = said
    receipt = await Mail(server_of(plain)).send(ADA, message())
    assert (receipt.delivered, receipt.status, receipt.final) == (False, int(said[:3]), final)
    assert receipt.problem == f"The mail server refuses the address: {said}."


async def test_an_address_that_is_not_there_is_given_up_at_once(desk: Desk, plain: Office) -> None:
    desk.context = desk.yard.context = replace(desk.context, messengers=Messengers(mail=Mail(server_of(plain))))
    await desk.subscribe(kind="mail", url=None, address=ADA)
    await desk.tell("one")
    plain.refuses = "550 no such user"
    await (await desk.postman()).go()
    assert [(d.state, d.attempts) for d in await desk.deliveries()] == [("GIVEN_UP", 1)]


async def test_a_server_that_takes_no_mail_now_is_tried_again(desk: Desk, plain: Office) -> None:
    desk.context = desk.yard.context = replace(desk.context, messengers=Messengers(mail=Mail(server_of(plain))))
    await desk.subscribe(kind="mail", url=None, address=ADA)
    await desk.tell("one")
    plain.fails = "452 the disk is full"
    postman = await desk.postman()
    await postman.go()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.status) == ("WAITING", 452)
    assert delivery.problem == "The mail server did not take it: 452 the disk is full."
    plain.fails = ""
    await desk.pass_time()
    await postman.go()
    assert await desk.states() == ["DELIVERED"]


async def test_a_server_that_is_away(plain: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_module, "STEP_SECONDS", 0.3)
    receipt = await Mail(MailServer("127.0.0.1", 1, "none", "mantik@example.org")).send(ADA, message())
    assert (receipt.problem or "").startswith("The mail server could not be used: ")


async def test_what_the_server_took_is_delivered_whatever_it_says_to_the_end(plain: Office) -> None:
    plain.bye = "421 too busy to say goodbye"
    receipt = await Mail(server_of(plain)).send(ADA, message())
    assert (receipt.delivered, receipt.status) == (True, 250)
    assert len(plain.taken) == 1


async def test_a_try_ends_in_time_and_keeps_its_place_until_its_thread_has_ended(
    plain: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_module, "TOTAL_SECONDS", 0.5)
    monkeypatch.setattr(mail_module, "AT_ONCE", 1)
    plain.hangs = True
    mail = Mail(server_of(plain))
    first, second = await asyncio.gather(*[mail.send(ADA, message()) for _ in range(2)])
    assert first.problem == second.problem == "The mail server did not take it in time."
    assert plain.asked == 1, "the second had no turn"
    plain.gate.set()
    monkeypatch.setattr(mail_module, "TOTAL_SECONDS", 30.0)
    assert (await mail.send(ADA, message())).delivered
    assert plain.asked == 2, "what was cancelled before its turn is not sent"


@contextmanager
def _busy_threads() -> Iterator[None]:
    """Something else holds all threads of the loop."""
    done = threading.Event()
    threads = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(threads)
    threads.submit(done.wait, 60)
    try:
        yield
    finally:
        done.set()


async def test_messages_wait_for_no_thread_of_others(plain: Office, tmp_path: Path) -> None:
    pem = certificate(tmp_path, "localhost")
    trusted = ssl.create_default_context(cafile=str(pem))
    with receiving(certificate=pem) as receiver, _busy_threads():
        messengers = Messengers(Webhooks(hosts_of(("localhost",)), trusted), Mail(server_of(plain)))
        url = receiver.url.replace("127.0.0.1", "localhost")
        assert messengers.mail is not None
        receipts = [
            await messengers.webhooks.send(url, new_secret(), message()),
            await messengers.mail.send(ADA, message()),
        ]
        assert [receipt.problem for receipt in receipts] == [None, None]
        assert len(receiver.requests) == len(plain.taken) == 1


async def test_mail_that_is_due_keeps_no_webhook_waiting(
    desk: Desk, plain: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postman_module, "PLACES", {prefix_of(Kind.WEBHOOK): 1, prefix_of(Kind.MAIL): 2})
    messengers = replace(desk.context.messengers, mail=Mail(server_of(plain)))
    desk.context = desk.yard.context = replace(desk.context, messengers=messengers)
    for n in range(3):
        await desk.subscribe(f"m{n}", kind="mail", url=None, address=ADA)
    await desk.subscribe("hook")
    await desk.tell("one")
    plain.hangs = True
    postman = await desk.postman()
    await postman.begin()
    assert sorted(name.split(":")[1] for name in postman.postman.held) == ["mail", "mail", "webhook"]
    await asyncio.to_thread(desk.receiver.reached.wait, 30)
    plain.gate.set()
    await postman.end()
    await postman.go()
    assert await desk.states() == ["DELIVERED"] * 4
    assert postman.postman.held == {}


async def test_without_a_server_mail_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="kind: This gateway sends no mail; its operator sets MANTIK_SMTP_HOST"):
        await desk.subscribe(kind="mail", url=None, address=ADA)


def test_the_settings_of_the_operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert mail_server(Settings(data_dir=tmp_path)) is None
    given = {"HOST": "smtp.example", "SECURITY": "TLS", "USER": "mantik", "PASSWORD_FILE": str(tmp_path / "p")}
    for name, value in given.items():
        monkeypatch.setenv(f"MANTIK_SMTP_{name}", value)
    with pytest.raises(InvalidInput, match="MANTIK_MAIL_FROM: give the sender of mail"):
        load()
    monkeypatch.setenv("MANTIK_MAIL_FROM", "mantik@example.org")
    monkeypatch.setenv("MANTIK_ALLOWED_MAIL_DOMAINS", "a.example b.example")
    found = mail_server(load())
    assert found == MailServer(
        "smtp.example", 587, "tls", "mantik@example.org", "mantik", tmp_path / "p", ("a.example", "b.example")
    )
    monkeypatch.setenv("MANTIK_SMTP_SECURITY", "none")
    with pytest.raises(InvalidInput, match="MANTIK_SMTP_SECURITY: a password goes over TLS only"):
        load()
    monkeypatch.setenv("MANTIK_SMTP_SECURITY", "tls")
    monkeypatch.delenv("MANTIK_SMTP_PASSWORD_FILE")
    with pytest.raises(InvalidInput, match="MANTIK_SMTP_PASSWORD_FILE: give the file"):
        load()
