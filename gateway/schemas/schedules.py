"""Schedules: when a run is repeated, what comes next, and what came of it."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from gateway.schemas.users import UserView
from gateway.schemas.wire import Body, Wire

OverlapPolicy = Literal["skip", "queue", "cancel-running", "allow"]
MisfirePolicy = Literal["skip", "run-once", "run-all"]
ScheduleState = Literal["ACTIVE", "PAUSED", "ENDED"]
FiringState = Literal["WAITING", "FIRED", "SKIPPED", "REFUSED"]
MOST_PREVIEWED = 100


class CreateSchedule(Body):
    """PUT replaces it whole. An edit changes the future only."""

    name: str = Field(min_length=1, max_length=200)
    run_id: UUID
    """The run to repeat: its commit, parameters and config."""
    connection_id: UUID | None = None
    """The caller's own; by default that of the run, where it is the caller's."""
    compute_budget_account: str | None = Field(default=None, max_length=200)
    """By default that of the run."""
    cron_expression: str = Field(min_length=1, max_length=200)
    time_zone: str = Field(default="UTC", min_length=1, max_length=100)
    start_date: str | None = Field(default=None, max_length=40)
    """A date or a time, in the zone."""
    end_date: str | None = Field(default=None, max_length=40)
    """The last date or time at which it may fire, in the zone."""
    overlap_policy: OverlapPolicy = "skip"
    misfire_policy: MisfirePolicy = "skip"
    misfire_most: int = Field(default=10, ge=1, le=100)
    """How many missed times `run-all` runs at most."""
    grace_seconds: int = Field(default=600, ge=60, le=604_800)
    """How late a firing may be."""
    max_failures: int = Field(default=3, ge=0, le=1000)
    """Failed runs in a row after which it pauses itself; 0 for never."""
    enabled: bool = True
    follow_branch: bool = False
    """Run the head of the run's branch instead of its commit."""
    follow_branch_consent: str | None = Field(default=None, max_length=4000)
    """Required with `followBranch`: the sentence that the gateway gives."""


class FireNow(Body):
    """Whoever fires somebody else's schedule gives a connection of their own."""

    connection_id: UUID | None = None
    compute_budget_account: str | None = Field(default=None, max_length=200)


class Consent(Wire):
    text: str
    at: datetime
    by: UserView


class FiringView(Wire):
    firing_id: UUID
    kind: Literal["cron", "manual"]
    nominal_at: datetime
    """When it was due, in UTC."""
    nominal_local: str
    """The same in the schedule's zone."""
    actual_at: datetime
    """When it was decided."""
    state: FiringState
    reason: str | None
    text: str
    run_id: UUID | None
    run_state: str | None
    made_by: UserView | None


class ScheduleView(Wire):
    schedule_id: UUID
    project_id: UUID
    name: str
    state: ScheduleState
    reason: str | None
    message: str | None
    run_id: UUID
    run_name: str
    connection_id: UUID
    site_name: str | None
    compute_budget_account: str | None
    cron_expression: str
    in_words: str
    """The expression in plain words; empty where there are none."""
    time_zone: str
    start_date: str | None
    end_date: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    overlap_policy: OverlapPolicy
    misfire_policy: MisfirePolicy
    misfire_most: int
    grace_seconds: int
    max_failures: int
    failures: int
    """Failed runs in a row."""
    enabled: bool
    follow_branch: bool
    consent: Consent | None
    next_at: datetime | None
    next_local: str | None
    user: UserView
    """Who created it."""
    run_as: UserView
    """Whose connection it runs with."""
    created_at: datetime
    changed_at: datetime


class PreviewedFiring(Wire):
    at: datetime
    local: str
    note: str | None
    """What a change of the clocks does to it."""


class SchedulePreview(Wire):
    cron_expression: str
    in_words: str
    time_zone: str
    firings: list[PreviewedFiring]
    clock_changes: list[str]
    """Between now and the last of the firings."""
    ends: str | None
    """Why there are no more; None when there are."""
