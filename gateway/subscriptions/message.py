"""One message, as JSON for a webhook and as text for a mail; and what came of a try to send it."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from email.contentmanager import raw_data_manager
from email.header import Header
from email.message import EmailMessage
from email.policy import compat32
from email.utils import format_datetime, formataddr, parseaddr

from gateway.subscriptions.words import NEXT_STEPS, EventName


@dataclass(frozen=True, slots=True)
class Message:
    """The same at each try."""

    id: uuid.UUID
    event: EventName
    at: datetime
    text: str
    subscription_id: uuid.UUID
    reason: str | None = None
    project: str | None = None
    """Its name."""
    project_id: uuid.UUID | None = None
    run_id: uuid.UUID | None = None
    schedule_id: uuid.UUID | None = None
    connection_id: uuid.UUID | None = None

    def body(self) -> bytes:
        """JSON. What does not apply is null."""
        ids = {
            "projectId": self.project_id,
            "runId": self.run_id,
            "scheduleId": self.schedule_id,
            "connectionId": self.connection_id,
        }
        document = {
            "id": str(self.id),
            "event": self.event,
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "text": self.text,
            "reason": self.reason,
            "project": self.project,
            **{name: str(value) if value is not None else None for name, value in ids.items()},
        }
        return json.dumps(document, ensure_ascii=False).encode()

    def mail(self, sender: str, to: str, now: datetime) -> EmailMessage:
        """Each try has the same Message-ID, so that a mailbox may know a repetition.

        What users write is encoded as it stands and never decoded: newer policies of `email` read encoded words
        (RFC 2047) in a header that is set, and write the line ends in them as they are."""
        mail = EmailMessage(policy=compat32)
        mail["From"], mail["To"] = formataddr(parseaddr(sender)), to
        mail["Subject"] = Header(f"[mantik] {self.text}", "utf-8", header_name="Subject")
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{self.id}@{sender.rpartition('@')[2].rstrip('>')}>"
        mail["Auto-Submitted"] = "auto-generated"
        ids = {"run": self.run_id, "schedule": self.schedule_id, "connection": self.connection_id}
        step = NEXT_STEPS[self.event].format(project=self.project_id, **ids)
        end = f"You asked for this message. To get no more: mantik notifications remove {self.subscription_id}"
        when = f"{self.at:%Y-%m-%d %H:%M} UTC"
        text = f"{self.text}\n\nWhen: {when}\n{step}\n\n-- \n{end}\n"
        mail.set_content(text, content_manager=raw_data_manager)
        return mail


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of one try."""

    delivered: bool
    status: int | None = None
    """HTTP status or SMTP code, if there was an answer."""
    problem: str | None = None
    """Why it was not delivered, in one sentence."""
    answer: str = ""
    """The beginning of what was answered."""
    final: bool = False
    """Another try would bring nothing else."""
    gone: bool = False
    """The receiver wants no more."""
