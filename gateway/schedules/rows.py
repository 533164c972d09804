"""Tables of schedules and their firings."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class Schedule(WithId, Base):
    """When a run is repeated, as whom, and what happens when it cannot be."""

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        Index("ix_schedules_due", "due_at"),
    )
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    run_as: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    """The owner of the connection."""
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"))
    """The run that is repeated."""
    connection_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("connections.id"))
    compute_budget_account: Mapped[str | None]
    follow_branch: Mapped[bool] = mapped_column(default=False)
    consent: Mapped[dict[str, Any] | None]
    """{text, at, by}: what the owner of the connection agreed to."""

    expression: Mapped[str]
    zone: Mapped[str]
    start_given: Mapped[str | None]
    end_given: Mapped[str | None]
    """As it was written: a date, or a time, in the zone."""
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    """The last instant at which it may fire."""
    overlap: Mapped[str]
    misfire: Mapped[str]
    misfire_most: Mapped[int]
    grace_seconds: Mapped[int]
    max_failures: Mapped[int]
    """Failed runs in a row after which it pauses itself; 0 for never."""

    state: Mapped[str]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    failures: Mapped[int] = mapped_column(default=0)
    """Failed runs in a row."""
    next_at: Mapped[datetime | None]
    """The next nominal time that has no firing yet."""
    due_at: Mapped[datetime | None]
    """When the engine looks at it: `next_at`, the next try of a firing that waits, or the end."""
    late_from: Mapped[datetime | None]
    late_until: Mapped[datetime | None]
    """Nominal times between these are fired though they are past their grace time."""
    changed_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Firing(WithId, Base):
    """One nominal time of one schedule: made once, in the transaction that makes its run. `created_at` is when."""

    __tablename__ = "firings"
    __table_args__ = (
        UniqueConstraint("schedule_id", "kind", "nominal_at"),
        Index("ix_firings_listing", "schedule_id", "created_at", "id"),
        Index("ix_firings_open", "schedule_id", sqlite_where=text("open = 1"), postgresql_where=text("open")),
    )
    schedule_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("schedules.id"))
    kind: Mapped[str]
    """cron, or manual."""
    nominal_at: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str | None]
    text: Mapped[str]
    run_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("runs.id"), index=True)
    made_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    """Who fired it by hand."""
    open: Mapped[bool]
    """It waits, or its run's end has not been counted yet."""
