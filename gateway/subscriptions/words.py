"""The words of subscriptions: what may be told, how, and what became of a message."""

from collections.abc import Mapping
from enum import StrEnum


class EventName(StrEnum):
    """What a subscription may ask for; TEST is sent on request only."""

    RUN_FAILED = "RUN_FAILED"
    RUN_LOST = "RUN_LOST"
    NEEDS_LOGIN = "NEEDS_LOGIN"
    SCHEDULE_PAUSED = "SCHEDULE_PAUSED"
    BUDGET_GUARD = "BUDGET_GUARD"
    CREDENTIAL_ENDING = "CREDENTIAL_ENDING"
    TEST = "TEST"


class Kind(StrEnum):
    """How a message goes out."""

    WEBHOOK = "webhook"
    MAIL = "mail"


class DeliveryState(StrEnum):
    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"
    DROPPED = "DROPPED"


OF_PROJECTS = (
    EventName.RUN_FAILED,
    EventName.RUN_LOST,
    EventName.NEEDS_LOGIN,
    EventName.SCHEDULE_PAUSED,
    EventName.BUDGET_GUARD,
)
"""A credential is its owner's alone: its end is no matter of a project."""
OF_USERS = (*OF_PROJECTS, EventName.CREDENTIAL_ENDING)
NEXT_STEPS: Mapping[EventName, str] = {
    EventName.RUN_FAILED: "What happened: mantik runs describe {run} --project-id {project}",
    EventName.RUN_LOST: "What is known: mantik runs describe {run} --project-id {project}",
    EventName.NEEDS_LOGIN: "The owner of the connection goes on with: mantik connections renew {connection}",
    EventName.SCHEDULE_PAUSED: "More: mantik schedules describe {schedule} --project-id {project}",
    EventName.BUDGET_GUARD: "Caps and sums: mantik budget show --project-id {project}",
    EventName.CREDENTIAL_ENDING: "To give a new one: mantik connections renew {connection}",
    EventName.TEST: "Nothing has to be done.",
}
"""What a reader may do; filled with ids."""
