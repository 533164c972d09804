"""Who carries messages: webhooks always, mail where the operator has a server."""

from dataclasses import dataclass, field

from gateway.errors import InvalidInput
from gateway.settings import Settings
from gateway.subscriptions.mail import Mail, mail_server
from gateway.subscriptions.message import Message, Receipt
from gateway.subscriptions.webhooks import Webhooks, hosts_of
from gateway.subscriptions.words import Kind

NO_MAIL = "This gateway sends no mail; its operator sets MANTIK_SMTP_HOST. Use a webhook."


@dataclass(frozen=True, slots=True)
class Where:
    """The receiver of a subscription."""

    kind: str
    target: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Messengers:
    """One for a process."""

    webhooks: Webhooks = field(default_factory=Webhooks)
    mail: Mail | None = None

    def check(self, kind: str, target: str) -> str:
        """The URL or address. Raises InvalidInput that names the field."""
        if kind == Kind.WEBHOOK:
            return self.webhooks.check_url(target)
        if self.mail is None:
            raise InvalidInput(f"kind: {NO_MAIL}")
        return self.mail.check_address(target)

    async def send(self, where: Where, message: Message) -> Receipt:
        """One try; it ends within a minute, waiting for a turn included."""
        if where.kind == Kind.WEBHOOK:
            return await self.webhooks.send(where.target, where.secret, message)
        if self.mail is None:
            return Receipt(False, problem=NO_MAIL)
        return await self.mail.send(where.target, message)


def messengers_of(settings: Settings) -> Messengers:
    """As the operator set them up."""
    server = mail_server(settings)
    hosts = hosts_of(settings.allowed_webhook_hosts)
    return Messengers(Webhooks(hosts), Mail(server) if server is not None else None)
