"""Table of trained models."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class TrainedModel(WithId, Base):
    """A model under its name in the project. The row is the intent; MLflow's registry follows it."""

    __tablename__ = "trained_models"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        Index("ix_trained_models_listing", "project_id", "created_at", "id"),
        Index("ix_trained_models_due", "due_at"),
    )
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    run_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("runs.id"), index=True)
    """None for a model that was given by its URI."""
    connection_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("connections.id"))
    uri: Mapped[str | None]
    location: Mapped[str | None]
    """Where the URI leads to, in the user's words."""
    mlflow_parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)

    source: Mapped[str | None]
    """Where MLflow has the bytes, `mlflow-artifacts:/...`; None for a model elsewhere, which MLflow is not told of."""
    artifact_path: Mapped[str | None]
    """As the run logged it: the name of a logged model, or the folder of a classic one."""
    logged_model_id: Mapped[str | None]
    mlflow_run_id: Mapped[str | None]
    mlflow_name: Mapped[str | None]
    """The registered model that has it now; differs from the wanted one while it is renamed."""
    mlflow_version: Mapped[str | None]

    status: Mapped[str]
    message: Mapped[str | None]
    """Why MLflow does not have it yet."""
    changed_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    """When MLflow's registry is brought into step next; None when it is. By the database's clock."""
    epoch: Mapped[int] = mapped_column(default=0)
    """Counts intents and tries: what a try found out is stored only if nothing came between."""
    failures: Mapped[int] = mapped_column(default=0)
    """Tries since it was in step; stored before each."""
    uncertain_until: Mapped[datetime | None]
    """Until then a version that was asked for may still appear. By the database's clock."""

    dockerfile: Mapped[str | None]
    """Of the image that serves it; None until it was built."""
