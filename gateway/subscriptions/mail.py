"""The one door to the operator's mail server."""

import asyncio
import re
import smtplib
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from gateway import clock
from gateway.errors import InvalidInput
from gateway.settings import Settings
from gateway.subscriptions.message import Message, Receipt

STEP_SECONDS = 10.0
"""How long the server may take for each step."""
TOTAL_SECONDS = 40.0
"""For one try, waiting for its turn included."""
QUIT_SECONDS = 2.0
"""How long the server may take to say goodbye."""
AT_ONCE = 4
"""Mails that are being sent."""
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes out. A password goes over TLS only."""

    host: str
    port: int
    security: str
    """starttls, tls or none."""
    sender: str
    user: str = ""
    password_file: Path | None = None
    domains: Sequence[str] = ()
    """Where mail may go; empty: anywhere."""
    trusted: ssl.SSLContext | None = None
    """Whose certificates are taken; the system's by default."""


def mail_server(settings: Settings) -> MailServer | None:
    """The operator's, if there is one."""
    if not settings.smtp_host:
        return None
    return MailServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_security,
        settings.mail_from,
        settings.smtp_user,
        settings.smtp_password_file,
        settings.allowed_mail_domains,
    )


class Mail:
    """Sends mail, one connection for each, in threads of its own: a slow server holds up nothing else."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._threads = ThreadPoolExecutor(AT_ONCE, "mail")

    def check_address(self, address: str) -> str:
        """The address. Raises InvalidInput that says what to write."""
        if not _ADDRESS.fullmatch(address):
            raise InvalidInput("address: this is no mail address. Give name@example.org.")
        domain = address.rpartition("@")[2].lower()
        if self._server.domains and domain not in {name.lower() for name in self._server.domains}:
            raise InvalidInput(
                f"address: the gateway sends mail to these domains only: {', '.join(self._server.domains)}."
            )
        return address

    async def send(self, address: str, message: Message) -> Receipt:
        """One try, within TOTAL_SECONDS. Raises nothing for what a server can do."""
        try:
            self.check_address(address)
            async with asyncio.timeout(TOTAL_SECONDS):
                deliver = partial(self._deliver, address, message, clock.now())
                return await asyncio.get_running_loop().run_in_executor(self._threads, deliver)
        except InvalidInput as error:
            return Receipt(False, problem=f"It was not sent: {error}")
        except TimeoutError:
            return Receipt(False, problem="The mail server did not take it in time.")
        except smtplib.SMTPRecipientsRefused as error:
            code, said = error.recipients[address]
            return _refused("The mail server refuses the address", code, said, final=500 <= code < 600)
        except smtplib.SMTPResponseException as error:
            return _refused("The mail server did not take it", error.smtp_code, error.smtp_error)
        except (smtplib.SMTPException, OSError) as error:
            why = _text(str(error)).rstrip(".") or type(error).__name__
            return Receipt(False, problem=f"The mail server could not be used: {why}.")

    def _deliver(self, address: str, message: Message, now: datetime) -> Receipt:
        server = self._server
        mail = message.mail(server.sender, address, now)
        smtp = self._open()
        try:
            if server.user:
                smtp.login(server.user, _password(server))
            smtp.send_message(mail, to_addrs=[address])
        finally:
            _leave(smtp)
        return Receipt(True, 250)

    def _open(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, timeout=STEP_SECONDS, context=self._authorities())
        smtp = smtplib.SMTP(server.host, server.port, timeout=STEP_SECONDS)
        if server.security == "starttls":
            try:
                smtp.starttls(context=self._authorities())
            except BaseException:
                smtp.close()
                raise
        return smtp

    def _authorities(self) -> ssl.SSLContext:
        return self._server.trusted or ssl.create_default_context()


def _leave(smtp: smtplib.SMTP) -> None:
    """Whatever the server answers to that: what it took before, it has."""
    with suppress(smtplib.SMTPException, OSError):
        if smtp.sock is not None:
            smtp.sock.settimeout(QUIT_SECONDS)
        smtp.quit()
    smtp.close()


def _password(server: MailServer) -> str:
    """Read at each use, so that it may be changed while the gateway runs."""
    return server.password_file.read_text(encoding="utf-8").strip() if server.password_file is not None else ""


def _refused(what: str, code: int, said: bytes | str, *, final: bool = False) -> Receipt:
    words = _text(said).rstrip(".")
    return Receipt(False, code, f"{what}: {code} {words}.", words, final=final)


def _text(said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]
