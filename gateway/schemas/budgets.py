"""The budget guard of a project, and what a run may cost."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.schemas.users import UserView
from gateway.schemas.wire import Body, Wire

GuardWord = Literal["off", "warn", "refuse"]
Cap = Annotated[float | None, Field(ge=0, le=1e12, allow_inf_nan=False)]


class Caps(Body):
    """Null: no cap. 0 lets nothing through."""

    core_hours: Cap = None
    gpu_hours: Cap = None


class SetBudget(Body):
    """PUT replaces it whole."""

    budget_guard: GuardWord
    """`warn` accepts a run above a cap and says so; `refuse` does not accept it."""
    per_run: Caps = Caps()
    """Worst case of one run."""
    per_month: Caps = Caps()
    """Sum of a calendar month."""
    time_zone: str = Field(default="UTC", max_length=100)
    """IANA name: where a month begins and ends."""


class HoursView(Wire):
    """Null: no cap, or nobody knows."""

    core_hours: float | None
    gpu_hours: float | None


class WorstCaseView(HoursView):
    """What a run may cost at most: nodes x CPUs (or GPUs) on each x time limit, as its config says."""

    missing: list[str] = Field(default=[])
    """What would have to be known, where one of them is null: fields of the config, `nodeSize`, or `backendConfig` for
    a file of the repository that was not read yet."""


class BudgetView(Wire):
    project_id: UUID
    budget_guard: GuardWord
    per_run: HoursView
    per_month: HoursView
    time_zone: str
    month: str
    """As 2026-11."""
    month_begins: datetime
    month_ends: datetime
    spent: HoursView
    """By runs that ended in this month: what the site accounted, else their worst case."""
    reserved: HoursView
    """The worst case of live runs."""
    left: HoursView
    """Null where the month has no cap; below 0 where it is overrun."""
    estimated_runs: int
    """Ended runs that count their worst case, because the site told of no use."""
    unknown_runs: int
    """Runs that count nothing, because neither use nor worst case is known."""
    as_of: datetime
    """When this was summed up."""
    changed_at: datetime | None
    changed_by: UserView | None
