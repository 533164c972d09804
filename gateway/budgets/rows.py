"""The table of budget guards."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base


class Budget(Base):
    """The guard of one project; without a row it is off. What its runs cost stands in `runs`.

    Locked while a run is admitted, so that of two at once the second counts the first."""

    __tablename__ = "budgets"
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    guard: Mapped[str]
    """off, warn or refuse."""
    zone: Mapped[str]
    """Of its calendar months."""
    run_core_hours: Mapped[float | None]
    run_gpu_hours: Mapped[float | None]
    """Caps for one run; None for no cap."""
    month_core_hours: Mapped[float | None]
    month_gpu_hours: Mapped[float | None]
    """Caps for all runs of a month."""
    changed_at: Mapped[datetime]
    changed_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
