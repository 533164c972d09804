"""Runs: what is asked, what is stored, what is shown."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from gateway.schemas.budgets import HoursView, WorstCaseView
from gateway.schemas.users import UserView
from gateway.schemas.wire import Body, Wire

State = Literal[
    "CREATED", "PREPARING", "SUBMITTING", "QUEUED", "STARTING", "RUNNING", "FINISHED", "FAILED", "CANCELLED"
]
FINAL_STATES = frozenset({"FINISHED", "FAILED", "CANCELLED"})


def _storable(value: str | int | float | bool) -> str | int | float | bool:
    """What JSON and every database take. Raises ValueError."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number.")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("must not contain half a character (a lone surrogate).") from None
    return value


ParameterValue = Annotated[str | int | float | bool, AfterValidator(_storable)]


class SubmitRun(Body):
    """Body of POST /projects/{id}/runs, with the published names."""

    name: str = Field(min_length=1, max_length=500)
    experiment_repository_id: UUID
    code_repository_id: UUID | None = None
    """Required unless the run is only reported (`?submit=false`)."""
    branch: str | None = Field(default=None, max_length=500)
    commit: str | None = Field(default=None, max_length=100)
    data_repository_id: UUID | None = None
    data_branch: str | None = Field(default=None, max_length=500)
    data_commit: str | None = Field(default=None, max_length=100)
    connection_id: UUID | None = None
    compute_budget_account: str | None = Field(default=None, max_length=200)
    mlflow_mlproject_file_path: str = Field(default="MLproject", max_length=2000)
    entry_point: str = Field(default="main", min_length=1, max_length=200)
    mlflow_parameters: dict[Annotated[str, StringConstraints(max_length=250)], ParameterValue] = Field(default={})
    backend_config: dict[str, Any] | str = Field(default={})
    """The parsed config, or the path of a config file in the repository (relative to its top)."""
    mlflow_run_id: UUID | str | None = None
    """Only with `?submit=false`."""
    preview_token: str | None = Field(default=None, max_length=200)
    """From a dry run: submit exactly those bytes, or be told what changed."""


class SubmittedRun(Wire):
    run_id: UUID
    state: State
    worst_case: HoursView | None = None
    """What it may cost at most; null for a run that is executed elsewhere."""
    warnings: list[str] = Field(default=[])
    """Of the project's budget guard."""


class Preview(Wire):
    """Answer of `dryRun=true`: byte for byte what a submit with `previewToken` sends."""

    run_id: UUID
    preview_token: str
    commit: str
    command: str
    script: str
    script_sha256: str
    submit_command: list[str]
    login_commands_before: list[str]
    login_commands_after: list[str]
    worst_case: WorstCaseView | None = None
    """What it may cost at most."""
    config: dict[str, Any]
    warnings: list[str]


class ConditionView(Wire):
    name: str
    since: datetime
    text: str


class JobView(Wire):
    site_job_id: str
    attempt: int
    site_state: str
    pending_reason: str
    restarts: int
    account: str
    nodes: str
    usage: dict[str, Any]
    seen_at: datetime | None


class RunView(Wire):
    """One row of a listing."""

    run_id: UUID
    project_id: UUID
    name: str
    origin: Literal["submitted", "reported"]
    state: State
    status: str
    """The same in MLflow's words: SCHEDULED, RUNNING, FINISHED, FAILED, KILLED."""
    reason: str | None
    message: str | None
    exit_code: int | None
    conditions: list[ConditionView]
    experiment_repository_id: UUID
    code_repository_id: UUID | None
    branch: str | None
    commit: str | None
    connection_id: UUID | None
    site_name: str | None
    compute_budget_account: str | None
    mlproject_path: str
    entry_point: str
    mlflow_run_id: str | None
    user: UserView
    """Who created it."""
    created_at: datetime
    submitted_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    delete_requested_at: datetime | None
    job: JobView | None


class PhaseView(Wire):
    """How long a run was in a state; `seconds` counts until now for the present one."""

    state: State
    entered_at: datetime
    seconds: float


class RunDetails(RunView):
    mlflow_parameters: dict[str, Any]
    backend_config: dict[str, Any] | str
    config: dict[str, Any] | None
    """Normalized; None before it was validated."""
    command: str | None
    script: str | None
    script_sha256: str | None
    submit_command: list[str]
    warnings: list[str]
    phases: list[PhaseView]
    lineage_id: UUID
    previous_run_id: UUID | None
    log_size: int
    work_directory: str | None
    """The attempt's directory on the site."""


class EventView(Wire):
    event_id: int
    time: datetime
    kind: str
    from_state: str | None
    to_state: str | None
    text: str
    evidence: dict[str, Any]
    actor: UserView | None


class LogLine(Wire):
    """Where a piece of log stands; the SSE id is `<generation>.<offset of its end>`."""

    generation: int
    offset: int
    text: str
