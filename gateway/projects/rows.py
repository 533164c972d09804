"""Tables of projects and their members."""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class Project(WithId, Base):
    """Groups members, repositories, runs, schedules and models."""

    __tablename__ = "projects"
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(default="")
    public: Mapped[bool] = mapped_column(default=False)
    """Parameters, metrics and models show to everybody."""
    public_details: Mapped[bool] = mapped_column(default=False)
    """The second switch: logs, hosts, accounts and site users show too."""
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))


class Member(Base):
    __tablename__ = "members"
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str]
    """owner, maintainer, researcher, reporter or guest."""
