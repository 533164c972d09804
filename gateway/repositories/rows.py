"""Tables of experiment and code repositories."""

import uuid

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class ExperimentRepository(WithId, Base):
    """An MLflow experiment. Its name there carries the project, so that two projects may use one name."""

    __tablename__ = "experiment_repositories"
    __table_args__ = (UniqueConstraint("project_id", "name"),)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), index=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    mlflow_experiment_id: Mapped[str | None] = mapped_column(unique=True)
    """None until MLflow could be reached."""
    artifact_location: Mapped[str | None]


class CodeRepository(WithId, Base):
    __tablename__ = "code_repositories"
    __table_args__ = (UniqueConstraint("project_id", "name"),)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), index=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    uri: Mapped[str]
    connection_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("connections.id"))
    platform: Mapped[str] = mapped_column(default="Git")
