"""Tables of runs: intent and state, the manifest, attempts and jobs on the site, events and conditions."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId

BIG = BigInteger().with_variant(Integer, "sqlite")


class Run(WithId, Base):
    """One entry point of an MLflow project, at one commit, with parameters, config, connection and budget account."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_listing", "project_id", "created_at", "id"),
        Index("ix_runs_due", "due_at"),
        Index("ix_runs_live", "connection_id", "state"),
        Index("ix_runs_budget", "project_id", "ended_at"),
    )
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    origin: Mapped[str] = mapped_column(default="submitted")
    """submitted, or reported (executed elsewhere and told by PUT)."""
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    run_as: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    """The owner of the connection."""
    experiment_repository_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("experiment_repositories.id"))
    code_repository_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("code_repositories.id"))
    branch: Mapped[str | None]
    requested_commit: Mapped[str | None]
    data_repository_id: Mapped[uuid.UUID | None]
    data_branch: Mapped[str | None]
    data_commit: Mapped[str | None]
    connection_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("connections.id"))
    site_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("sites.id"))
    compute_budget_account: Mapped[str | None]
    mlproject_path: Mapped[str]
    entry_point: Mapped[str] = mapped_column(default="main")
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    backend_config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """As given: the parsed config, or {"path": "..."} of a file in the repository."""
    lineage_id: Mapped[uuid.UUID] = mapped_column(index=True)
    previous_run_id: Mapped[uuid.UUID | None]

    state: Mapped[str] = mapped_column(default="CREATED")
    reason: Mapped[str | None]
    message: Mapped[str | None]
    """One plain sentence about the end; the site's own words are in the event."""
    exit_code: Mapped[int | None]
    commit: Mapped[str | None]
    """Resolved from branch or requested_commit."""
    prepared_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None]
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    cancel_requested_at: Mapped[datetime | None]
    cancel_requested_by: Mapped[uuid.UUID | None]
    delete_requested_at: Mapped[datetime | None]
    delete_requested_by: Mapped[uuid.UUID | None]
    delete_site_directory: Mapped[bool] = mapped_column(default=False)
    deleted_at: Mapped[datetime | None]

    worst_core_hours: Mapped[float | None]
    worst_gpu_hours: Mapped[float | None]
    """What it may cost at most, as its config says; None where nobody knows."""
    core_hours: Mapped[float | None]
    gpu_hours: Mapped[float | None]
    """What it cost, once it has ended and its site told."""

    mlflow_run_id: Mapped[str | None] = mapped_column(index=True)
    mlflow_status: Mapped[str | None]
    """What MLflow was last told; differs from the state's status while tracking is behind."""
    tracking_files: Mapped[bool] = mapped_column(default=False)
    """Whether config and script stand in MLflow."""
    tracking_failures: Mapped[int] = mapped_column(default=0)
    """Tries since MLflow was up to date; stored before each."""
    tracking_due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When to bring MLflow up to date next; None when it is."""

    lease_owner: Mapped[str | None]
    lease_epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    """By the database's clock."""
    due_at: Mapped[datetime | None]
    """When the engine has to look at this run next; None when it has not."""
    failures: Mapped[int] = mapped_column(default=0)
    """Retries in a row of the current step, for its back-off."""


class Manifest(Base):
    """Exactly what is submitted, fixed before the first attempt."""

    __tablename__ = "manifests"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    created_at: Mapped[datetime]
    commit: Mapped[str]
    config: Mapped[dict[str, Any]]
    """Normalized, in the published spelling."""
    command: Mapped[str]
    script: Mapped[bytes] = mapped_column(LargeBinary)
    script_sha256: Mapped[str]
    code_sha256: Mapped[str]
    code_size: Mapped[int] = mapped_column(BIG)
    submit_command: Mapped[list[Any]]
    login_commands_before: Mapped[list[Any]]
    login_commands_after: Mapped[list[Any]]
    project_path: Mapped[str]
    """Directory of the MLproject inside the code."""
    warnings: Mapped[list[Any]]
    local_tracking: Mapped[bool] = mapped_column(default=False)
    """The job keeps what it tracks beside itself, for the gateway to copy."""


class Attempt(WithId, Base):
    """One try to bring a run to the site."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("run_id", "n"),)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"))
    n: Mapped[int]
    tag: Mapped[str] = mapped_column(index=True)
    location: Mapped[str | None]
    """Handle on the site; stored before `start`."""
    revoked_at: Mapped[datetime | None]


class Job(WithId, Base):
    """What the site knows. A run has at most one that runs its code."""

    __tablename__ = "jobs"
    __table_args__ = (UniqueConstraint("attempt_id", "site_job_id"),)
    attempt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("attempts.id"))
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), index=True)
    site_job_id: Mapped[str]
    current: Mapped[bool] = mapped_column(default=True)
    """False for a copy that the site made and the fence turned away."""
    site_state: Mapped[str] = mapped_column(default="")
    pending_reason: Mapped[str] = mapped_column(default="")
    restarts: Mapped[int] = mapped_column(default=0)
    account: Mapped[str] = mapped_column(default="")
    nodes: Mapped[str] = mapped_column(default="")
    usage: Mapped[dict[str, Any]] = mapped_column(default=dict)
    log_size: Mapped[int | None] = mapped_column(BIG)
    log_identity: Mapped[str] = mapped_column(default="")
    """Of the file that `log_size` is about; another one begins a new generation of the log."""
    seen_at: Mapped[datetime | None]
    """When the site last told us of it."""


class Event(Base):
    """What happened to a run, with its evidence. Append-only, but for `untold`."""

    __tablename__ = "events"
    __table_args__ = (
        Index(
            "ix_events_untold",
            "id",
            sqlite_where=text("untold IS NOT NULL"),
            postgresql_where=text("untold IS NOT NULL"),
        ),
    )
    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), index=True)
    time: Mapped[datetime]
    kind: Mapped[str]
    """state, condition, intent, site (a command sent there and its result), tracking, report, budget (a warning),
    retention."""
    from_state: Mapped[str | None]
    to_state: Mapped[str | None]
    text: Mapped[str]
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    actor_id: Mapped[uuid.UUID | None]
    token_id: Mapped[uuid.UUID | None]
    on_behalf_of: Mapped[uuid.UUID | None]
    untold: Mapped[str | None]
    """What subscribers are to be told of it; None as soon as their deliveries are made, and of most events ever."""


class Condition(Base):
    """Something to know about a run that does not change its state."""

    __tablename__ = "conditions"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    text: Mapped[str]


class Preview(Base):
    """A dry run: the id it reserved and the hashes of what it showed, so that a submit sends just that."""

    __tablename__ = "previews"
    run_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    token_hash: Mapped[str] = mapped_column(unique=True)
    body_sha256: Mapped[str]
    shown: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)


class IdempotencyKey(Base):
    """A request that was accepted: the same key and body get the same answer, another body a conflict."""

    __tablename__ = "idempotency_keys"
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    object_id: Mapped[uuid.UUID]
    created_at: Mapped[datetime] = mapped_column(index=True)
