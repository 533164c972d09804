"""Who acts: carried from the door of the API into every service."""

import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user, or a run acting with its run token."""

    user_id: uuid.UUID
    name: str
    is_admin: bool = False
    token_id: uuid.UUID | None = None
    """The personal API token used, if any."""
    run_id: uuid.UUID | None = None
    """Set for a run token: the caller is that run and may touch only what is its own."""
    project_id: uuid.UUID | None = None
    """Set with `run_id`."""
    mlflow_run_id: str | None = None
    """With `run_id`: MLflow's id of the run, which means the same in paths; None while MLflow has not made it."""
    request_id: str = ""
