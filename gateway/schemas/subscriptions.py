"""What a user is told of, and where; and what became of each message."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from gateway.schemas.wire import Body, Wire

EventWord = Literal["RUN_FAILED", "RUN_LOST", "NEEDS_LOGIN", "SCHEDULE_PAUSED", "BUDGET_GUARD", "CREDENTIAL_ENDING"]
SubscriptionKind = Literal["webhook", "mail"]


class SaveSubscription(Body):
    """PUT replaces it whole; the kind stays as it is, and so does the secret of a webhook."""

    name: str = Field(min_length=1, max_length=200)
    kind: SubscriptionKind
    project_id: UUID | None = None
    """All of a project that the caller is a member of; without it, all that is the caller's own."""
    url: str | None = Field(default=None, max_length=2000)
    """Of a webhook."""
    address: str | None = Field(default=None, max_length=320)
    """Of mail."""
    events: list[EventWord] | None = Field(default=None, min_length=1, max_length=10)
    """By default all that there are."""
    enabled: bool = True


class SubscriptionView(Wire):
    subscription_id: UUID
    name: str
    kind: str
    project_id: UUID | None
    project_name: str | None
    """Null for who is no longer a member."""
    url: str | None
    address: str | None
    events: list[str]
    enabled: bool
    stopped: str | None
    """Why the gateway disabled it by itself."""
    created_at: datetime


class NewSubscription(SubscriptionView):
    """The only answer that holds the secret with which a webhook is signed."""

    secret: str | None = Field(default=None, repr=False)


class TestedSubscription(Wire):
    """What came back for a message that was sent just now."""

    delivered: bool
    status: int | None
    """HTTP status, or code of the mail server."""
    problem: str | None
    answer: str
    """The beginning of what was answered."""


class DeliveryView(Wire):
    """One message."""

    delivery_id: UUID
    event: str
    at: datetime
    """When it happened."""
    text: str
    reason: str | None
    project_id: UUID | None
    run_id: UUID | None
    schedule_id: UUID | None
    connection_id: UUID | None
    state: str
    """WAITING, DELIVERED, GIVEN_UP, or DROPPED: the subscription was switched off, or you may not know any more."""
    attempts: int
    status: int | None
    """HTTP status, or code of the mail server, of the last answer."""
    problem: str | None
    due_at: datetime | None
    """Of the next try."""
    done_at: datetime | None
    created_at: datetime
