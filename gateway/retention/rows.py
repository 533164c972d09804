"""Tables of retention: the rules of a project, and what they removed."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base


class RetentionRules(Base):
    """Days after the end of a run until something of it goes; None, and a project without a row, keep it for ever."""

    __tablename__ = "retention_rules"
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    log_days: Mapped[int | None]
    site_directory_days: Mapped[int | None]
    run_days: Mapped[int | None]
    changed_at: Mapped[datetime]
    changed_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))


class Removal(Base):
    """A log or a directory that a rule removed. It stays when the run goes."""

    __tablename__ = "removals"
    __table_args__ = (
        Index(
            "ix_removals_open",
            "what",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    """log, or directory."""
    begun_at: Mapped[datetime]
    """From here on nobody reads the log any more."""
    tried_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    """None while the directory is there, or bytes of the log are."""
    problem: Mapped[str | None]
    """Why the last try did not remove the directory."""
    blob_keys: Mapped[list[Any]] = mapped_column(default=list)
    """Of a log: where bytes lie that no row names any more."""
