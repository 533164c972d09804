"""Table of stored log ranges: read from the site once, kept compressed behind the blob door."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base


class LogChunk(Base):
    """Bytes [start, start+length) of one generation of a run's log."""

    __tablename__ = "log_chunks"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    length: Mapped[int]
    blob_key: Mapped[str]
    created_at: Mapped[datetime]
