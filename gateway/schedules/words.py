"""The words of schedules: states, policies, and why a firing made no run or a schedule stands still."""

from collections.abc import Mapping
from enum import StrEnum


class ScheduleState(StrEnum):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


class FiringState(StrEnum):
    WAITING = "WAITING"
    FIRED = "FIRED"
    SKIPPED = "SKIPPED"
    REFUSED = "REFUSED"


class Overlap(StrEnum):
    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_RUNNING = "cancel-running"
    ALLOW = "allow"


class Misfire(StrEnum):
    SKIP = "skip"
    RUN_ONCE = "run-once"
    RUN_ALL = "run-all"


class Reason(StrEnum):
    """Of a firing that made no run, and of a schedule that is not ACTIVE."""

    MISSED = "MISSED"
    OVERLAP = "OVERLAP"
    NEEDS_LOGIN = "NEEDS_LOGIN"
    TOO_MANY_RUNS = "TOO_MANY_RUNS"
    BUDGET_GUARD = "BUDGET_GUARD"
    PAUSED = "PAUSED"
    BY_USER = "BY_USER"
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"
    RUN_DELETED = "RUN_DELETED"
    CONNECTION_DROPPED = "CONNECTION_DROPPED"
    NOT_A_MEMBER = "NOT_A_MEMBER"
    ROLE_TOO_LOW = "ROLE_TOO_LOW"
    USER_DISABLED = "USER_DISABLED"
    ACCOUNT_REFUSED = "ACCOUNT_REFUSED"
    LOCAL_FORBIDDEN = "LOCAL_FORBIDDEN"
    CONSENT_OUTDATED = "CONSENT_OUTDATED"
    TIME_UNKNOWN = "TIME_UNKNOWN"
    END_DATE = "END_DATE"
    NO_MORE = "NO_MORE"


CRON, MANUAL = "cron", "manual"
"""Kinds of firings."""

STATES: Mapping[ScheduleState, str] = {
    ScheduleState.ACTIVE: "It fires at its next time.",
    ScheduleState.PAUSED: "It does not fire until somebody resumes it. Times that pass meanwhile are not made up for.",
    ScheduleState.ENDED: "Its end date has passed, or no time is left. A later end date makes it ACTIVE again.",
}
FIRINGS: Mapping[FiringState, str] = {
    FiringState.WAITING: "The run is made as soon as the reason is gone. Later times of the schedule wait behind it.",
    FiringState.FIRED: "A run was made.",
    FiringState.SKIPPED: "No run was made. The schedule goes on.",
    FiringState.REFUSED: "No run may be made. The schedule is PAUSED with the same reason.",
}
OVERLAPS: Mapping[Overlap, str] = {
    Overlap.SKIP: "While a run of the schedule is live, the firing is SKIPPED.",
    Overlap.QUEUE: "The firing waits until no run of the schedule is live. One waits at a time; times behind it are "
    "looked at afterwards, by the misfire policy.",
    Overlap.CANCEL_RUNNING: "The live runs are asked to end, and the firing waits until there is evidence that they "
    "did.",
    Overlap.ALLOW: "The run is made, however many are live.",
}
MISFIRES: Mapping[Misfire, str] = {
    Misfire.SKIP: "Times later than the grace time are SKIPPED; one line of the history says how many.",
    Misfire.RUN_ONCE: "All of them together are one run, unless a newer time is within its grace time.",
    Misfire.RUN_ALL: "The newest of them are run, one after the other, at most `misfireMost`.",
}
REASONS: Mapping[Reason, str] = {
    Reason.MISSED: "The gateway was away, or busy, for longer than the grace time.",
    Reason.OVERLAP: "An earlier run of the schedule was live.",
    Reason.NEEDS_LOGIN: "The credential was refused or has ended. The firing waits within its grace time for a new "
    "one: `mantik connections renew`.",
    Reason.TOO_MANY_RUNS: "The owner or the project had as many live runs as the gateway allows. The firing waits "
    "within its grace time.",
    Reason.BUDGET_GUARD: "The project's budget guard refused the run. Where the month has too little left, the firing "
    "waits within its grace time; a run that is above the cap for one run, or whose cost is not known, is REFUSED.",
    Reason.PAUSED: "The schedule was paused while the firing waited.",
    Reason.BY_USER: "Somebody paused it.",
    Reason.TOO_MANY_FAILURES: "As many runs as `maxFailures` says failed in a row.",
    Reason.RUN_DELETED: "The run that it repeats was deleted. Give it another one.",
    Reason.CONNECTION_DROPPED: "Its connection was dropped. Give it another one.",
    Reason.NOT_A_MEMBER: "The owner of its connection is no longer a member of the project.",
    Reason.ROLE_TOO_LOW: "The owner of its connection may no longer submit runs in the project.",
    Reason.USER_DISABLED: "The owner of its connection was disabled.",
    Reason.ACCOUNT_REFUSED: "The site no longer bills this account for the owner of the connection.",
    Reason.LOCAL_FORBIDDEN: "Its owner may not run on the gateway's own machine.",
    Reason.CONSENT_OUTDATED: "It follows a branch, and its owner has not agreed to just that. Save it anew.",
    Reason.TIME_UNKNOWN: "This gateway does not know its time zone, or cannot read its expression. Save it anew.",
    Reason.END_DATE: "Its end date has passed.",
    Reason.NO_MORE: "No time is left at which it could fire.",
}
