"""The life of a run: its states, the moves between them, and the words MLflow has for them."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    CREATED = "CREATED"
    PREPARING = "PREPARING"
    SUBMITTING = "SUBMITTING"
    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINAL = frozenset({State.FINISHED, State.FAILED, State.CANCELLED})
ON_SITE = frozenset({State.QUEUED, State.STARTING, State.RUNNING})
"""States in which the site has a job that the poller follows."""
LIVE = frozenset(State) - FINAL

_SITE_MOVES = ON_SITE | FINAL
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.PREPARING, State.FAILED, State.CANCELLED}),
    State.PREPARING: frozenset({State.SUBMITTING, State.FAILED, State.CANCELLED}),
    # Back to PREPARING when the attempt was revoked; past QUEUED when a lost reply was found out late.
    State.SUBMITTING: _SITE_MOVES | {State.PREPARING},
    State.QUEUED: _SITE_MOVES - {State.QUEUED},
    # Back to QUEUED is a requeue by the site.
    State.STARTING: _SITE_MOVES - {State.STARTING},
    State.RUNNING: _SITE_MOVES - {State.RUNNING},
    State.FINISHED: frozenset(),
    # Only when the reason is LOST: evidence that came late reopens the run.
    State.FAILED: _SITE_MOVES - {State.FAILED},
    State.CANCELLED: frozenset(),
}
REPORTED_TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.RUNNING}) | FINAL,
    State.RUNNING: FINAL,
    State.FINISHED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""Of runs that were executed elsewhere and are only told to us."""

MLFLOW_STATUS: Mapping[State, str] = {
    State.RUNNING: "RUNNING",
    State.FINISHED: "FINISHED",
    State.FAILED: "FAILED",
    State.CANCELLED: "KILLED",
}
FROM_MLFLOW = {
    "SCHEDULED": State.CREATED,
    "RUNNING": State.RUNNING,
    "FINISHED": State.FINISHED,
    "FAILED": State.FAILED,
    "KILLED": State.CANCELLED,
}


def mlflow_status(state: str) -> str:
    """SCHEDULED until the run runs."""
    return MLFLOW_STATUS.get(State(state), "SCHEDULED")


class ConditionName(StrEnum):
    """Something to know about a run that by itself never changes its state."""

    SUBMIT_UNKNOWN = "SUBMIT_UNKNOWN"
    LOST_CONTACT = "LOST_CONTACT"
    NEEDS_LOGIN = "NEEDS_LOGIN"
    JOB_MISSING = "JOB_MISSING"
    PENDING_REASON = "PENDING_REASON"
    COLLECTING = "COLLECTING"
    OUTPUTS_INCOMPLETE = "OUTPUTS_INCOMPLETE"
    FILES_GONE = "FILES_GONE"
    TRACKING_BEHIND = "TRACKING_BEHIND"
    TRACKING_NOT_COPIED = "TRACKING_NOT_COPIED"
    TRACKING_INCOMPLETE = "TRACKING_INCOMPLETE"
    POST_RUN_FAILED = "POST_RUN_FAILED"


NO_CONTACT = frozenset({ConditionName.LOST_CONTACT, ConditionName.NEEDS_LOGIN})
"""Why a site is not asked now. The newer one replaces the other."""
OF_LIVE_RUNS = frozenset(
    {
        ConditionName.SUBMIT_UNKNOWN,
        ConditionName.LOST_CONTACT,
        ConditionName.NEEDS_LOGIN,
        ConditionName.JOB_MISSING,
        ConditionName.PENDING_REASON,
    }
)
"""Conditions that the end of a run takes away."""
