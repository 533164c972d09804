"""Tables of run tokens, which say what a job may do, and of the journals of what jobs track beside themselves."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId
from gateway.runs.rows import BIG


class RunToken(WithId, Base):
    """Opaque, only its hash kept; valid from SUBMITTING until an hour after the run's end."""

    __tablename__ = "run_tokens"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), index=True)
    attempt: Mapped[int]
    token_hash: Mapped[str] = mapped_column(unique=True)


class TrackingJournal(Base):
    """How far what a job tracked beside itself stands in MLflow."""

    __tablename__ = "tracking_journals"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    position: Mapped[int] = mapped_column(BIG, default=0)
    """Bytes of the journal that are done."""
    ids: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """MLflow's ids of child runs and logged models, by those that the job was given."""
    missing: Mapped[list[Any]] = mapped_column(default=list)
    """Files that were no longer there, as `<run or model>/<path>`; a later version of one takes it off."""
    refused: Mapped[int] = mapped_column(default=0)
    """Entries that MLflow or the gateway refused, or that had no room beside the job."""
    first_refusal: Mapped[str | None]
    ended: Mapped[bool] = mapped_column(default=False)
    """Whether the last line that was done is the one that the job writes at its end."""
    failures: Mapped[int] = mapped_column(default=0)
    """Tries in a row that could not go on."""
    epoch: Mapped[int] = mapped_column(default=0)
    """Counts the gateways that took it: who took it before does nothing more."""
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When to look again, once the job runs; None when all is done."""
