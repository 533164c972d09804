"""What a run token may do: one table, for MLflow and for the gateway's own endpoints."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from gateway.errors import Forbidden
from gateway.users.caller import Caller


class Reach(StrEnum):
    """How far a run token reaches on a route of MLflow."""

    NOTHING = "nothing"
    RUN = "its own run and that run's children"
    EXPERIMENT = "its own experiment; of runs and logged models, its own"


@dataclass(frozen=True, slots=True)
class Scope:
    """One thing a run token may do at the gateway, on its own run only."""

    method: str
    endpoint: str
    purpose: str


GATEWAY_SCOPES: tuple[Scope, ...] = (
    Scope("GET", "", "look at itself"),
    Scope("GET", "events", "read what happened to it"),
    Scope("GET", "logs", "read its log"),
    Scope("PUT", "infrastructure", "report the machine it runs on"),
    Scope("PUT", "notebook-source", "report the notebook it came from"),
    Scope("PUT", "status", "report the state of a run executed elsewhere"),
)
"""Endpoints below `/projects/{id}/runs/{runId}/`; every other one refuses run tokens."""
_RUN_PATH = "/projects/{projectId}/runs/{runId}"


def admit_run(caller: Caller, method: str, route: str, run_id: str | None) -> None:
    """The door of the whole API: a user passes on to the check of roles, a run only to a scope of its own run.

    `route` is the path template; `run_id` stands in the path: the run's own id, or MLflow's. Raises Forbidden."""
    if caller.run_id is None:
        return
    _, found, endpoint = route.partition(_RUN_PATH)
    if not found or not _means_own(caller, run_id):
        raise Forbidden("A run token may not do this.", next_step="Use your own login.")
    require_own_run(caller, caller.run_id, method, endpoint.removeprefix("/"))


def _means_own(caller: Caller, given: str | None) -> bool:
    """Whatever the spelling: the published client writes MLflow's id with dashes."""
    try:
        named = UUID(given or "").hex
    except ValueError:
        return False
    return caller.run_id is not None and named in (caller.run_id.hex, caller.mlflow_run_id)


def require_own_run(caller: Caller, run_id: UUID, method: str, endpoint: str) -> None:
    """Lets a user through to the check of roles; a run only to a scope of its own run. Raises Forbidden."""
    if caller.run_id is None:
        return
    listed = any((scope.method, scope.endpoint) == (method, endpoint) for scope in GATEWAY_SCOPES)
    if not listed or caller.run_id != run_id:
        raise Forbidden("A run token may not do this.", next_step="Use your own login.")
