"""Table of run tokens: what a job may do at the gateway and in MLflow."""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class RunToken(WithId, Base):
    """Opaque, only its hash kept; valid from SUBMITTING until an hour after the run's end."""

    __tablename__ = "run_tokens"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), index=True)
    attempt: Mapped[int]
    token_hash: Mapped[str] = mapped_column(unique=True)
