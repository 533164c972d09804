"""Tables of subscriptions and their deliveries."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class Subscription(WithId, Base):
    """What one user is told of, and where. Without a project: all that is the user's own."""

    __tablename__ = "subscriptions"
    __table_args__ = (UniqueConstraint("user_id", "name"),)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    kind: Mapped[str]
    project_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    """No reference: a project may be deleted, and who is no member is told nothing."""
    target: Mapped[str]
    """The URL of a webhook, or a mail address."""
    secret_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("secrets.id"))
    """Of a webhook: what signs its messages."""
    events: Mapped[list[Any]]
    enabled: Mapped[bool] = mapped_column(default=True)
    stopped: Mapped[str | None]
    """Why the gateway disabled it by itself."""


class Delivery(WithId, Base):
    """One message of one subscription; its id is that of the message, the same at each try."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("subscription_id", "key"),
        Index("ix_deliveries_listing", "subscription_id", "created_at", "id"),
        Index("ix_deliveries_due", "subscription_id", "due_at"),
        Index("ix_deliveries_done", "done_at"),
    )
    subscription_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subscriptions.id"))
    key: Mapped[str]
    """What happened: the same thing is told once."""
    event: Mapped[str]
    at: Mapped[datetime]
    """When it happened."""
    text: Mapped[str]
    reason: Mapped[str | None]
    project_id: Mapped[uuid.UUID | None]
    run_id: Mapped[uuid.UUID | None]
    schedule_id: Mapped[uuid.UUID | None]
    connection_id: Mapped[uuid.UUID | None]

    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    """Tries that ended."""
    due_at: Mapped[datetime | None]
    """Of the next try, by the database's clock; None when there is none."""
    status: Mapped[int | None]
    """HTTP status or SMTP code of the last answer."""
    problem: Mapped[str | None]
    """Why it was not delivered, in one sentence."""
    done_at: Mapped[datetime | None]
