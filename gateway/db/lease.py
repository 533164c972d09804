"""Named leases: one gateway at a time does a thing, such as polling a connection. Times are the database's clock."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base


class Lease(Base):
    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str | None]
    epoch: Mapped[int] = mapped_column(default=0)
    until: Mapped[datetime | None]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the work is due next."""
