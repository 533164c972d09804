"""What the decision on a schedule rests on, and what comes of it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gateway.budgets.guard import Verdict
from gateway.runs.states import FINAL, State
from gateway.schedules.standing import Facts, Problem, Scheduled
from gateway.schedules.timing import Timing
from gateway.schedules.words import FiringState, ScheduleState
from gateway.settings import Settings
from gateway.subscriptions.telling import Happening


@dataclass(slots=True)
class Planned:
    """The row of a firing: one that is there, or with `is_new` one to insert."""

    id: uuid.UUID
    created_at: datetime
    schedule_id: uuid.UUID
    kind: str
    nominal_at: datetime
    state: str
    reason: str | None
    text: str
    run_id: uuid.UUID | None
    made_by: uuid.UUID | None
    open: bool
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """A firing that waits, or that has a run whose end was not counted yet."""

    firing: Planned
    run_state: str | None

    @property
    def waits(self) -> bool:
        return self.firing.state == FiringState.WAITING

    @property
    def live(self) -> bool:
        return not self.waits and self.run_state is not None and State(self.run_state) not in FINAL


@dataclass(slots=True)
class Decision:
    """Columns to set, and at most one firing. `fires`: its run is to be made."""

    schedule: Scheduled
    values: dict[str, Any] = field(default_factory=dict)
    firing: Planned | None = None
    """New, or the one that waited, with its new columns set."""
    fires: bool = False
    closed: list[uuid.UUID] = field(default_factory=list)
    """Firings whose end is counted now."""
    cancelled: list[uuid.UUID] = field(default_factory=list)
    """Runs that are asked to end."""
    told: list[Happening] = field(default_factory=list)
    """Of the budget guard."""
    warning: str = ""
    """Of the budget guard, about the run that is made."""


@dataclass(frozen=True, slots=True)
class Case:
    """One schedule that is due, with all that its decision rests on."""

    schedule: Scheduled
    facts: Facts
    open: Sequence[Open]
    timing: Timing
    now: datetime
    settings: Settings
    has_room: bool
    """Whether its owner and the project may have one more live run."""
    refusal: Verdict | None = None
    """Why the budget guard refuses its run."""

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.schedule.grace_seconds)


def paused(problem: Problem) -> dict[str, Any]:
    """The columns of a schedule that stands still."""
    return {
        "state": ScheduleState.PAUSED,
        "reason": problem.reason,
        "message": problem.text,
        "next_at": None,
        "due_at": None,
        "late_from": None,
        "late_until": None,
    }
