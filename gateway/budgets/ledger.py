"""The guard of a project with what its runs of the month come to, read under a lock before a run is admitted."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.budgets.cost import WorstCase
from gateway.budgets.guard import Guard, Sums, Verdict, judge
from gateway.budgets.month import Month, month_of
from gateway.budgets.rows import Budget
from gateway.projects.rows import Project
from gateway.runs.rows import Run

LEVELS = (100, 80)
"""Per cent of a month's cap that are told, the highest first."""


_COLUMNS = (
    Project.name,
    Budget.guard,
    Budget.zone,
    Budget.run_core_hours,
    Budget.run_gpu_hours,
    Budget.month_core_hours,
    Budget.month_gpu_hours,
)


@dataclass(slots=True)
class Ledger:
    """What it says grows with each run that is taken."""

    project_id: uuid.UUID
    project: str
    """Its name."""
    guard: Guard
    month: Month
    sums: tuple[Sums, Sums]
    """Core-hours and GPU-hours."""
    unknown: int
    """Runs of which one of the two is not known: they count nothing."""
    estimated: int
    """Runs that ended, and count what they might have cost, because their site told of no use."""

    def judge(self, worst: WorstCase) -> Verdict | None:
        return judge(self.sums, worst, self.month.name)

    def take(self, worst: WorstCase) -> None:
        """A run was admitted."""
        core, gpu = self.sums
        self.sums = (_with(core, worst.core.hours), _with(gpu, worst.gpu.hours))

    def levels(self) -> list[tuple[Sums, int]]:
        """The highest level that each sum has reached."""
        found = []
        for one in self.sums:
            reached = [level for level in LEVELS if one.per_month and one.used * 100 >= one.per_month * level]
            found += [(one, level) for level in reached[:1]]
        return found


def _with(one: Sums, hours: float | None) -> Sums:
    return replace(one, reserved=one.reserved + (hours or 0.0))


async def ledgers(
    session: AsyncSession, project_ids: Collection[uuid.UUID], *, lock: bool = True, but: uuid.UUID | None = None
) -> dict[uuid.UUID, Ledger]:
    """Of those projects whose guard is on. With `lock` nobody else admits a run until the transaction ends; rows are
    locked in the order of their ids. `but`: a run that is not counted."""
    wanted = select(Budget.project_id, *_COLUMNS).join(Project, Project.id == Budget.project_id)
    wanted = wanted.where(Budget.project_id.in_(project_ids), Budget.guard != Guard.OFF).order_by(Budget.project_id)
    rows = (await session.execute(wanted.with_for_update(of=Budget) if lock else wanted)).all()
    now = clock.now()
    return {row.project_id: await _ledger(session, row, now, but) for row in rows}


async def ledger_of(session: AsyncSession, project_id: uuid.UUID) -> Ledger:
    """Without a lock, also where the guard is off: for people who look."""
    wanted = select(Project.id.label("project_id"), *_COLUMNS).select_from(Project)
    wanted = wanted.join(Budget, Budget.project_id == Project.id, isouter=True).where(Project.id == project_id)
    return await _ledger(session, (await session.execute(wanted)).one(), clock.now(), None)


async def _ledger(session: AsyncSession, row: Any, now: datetime, but: uuid.UUID | None) -> Ledger:
    month = month_of(row.zone or "UTC", now)
    used = (await session.execute(_used(row.project_id, month.begins, but))).one()
    return Ledger(
        project_id=row.project_id,
        project=row.name,
        guard=Guard(row.guard or Guard.OFF),
        month=month,
        sums=(
            Sums("core-hours", row.run_core_hours, row.month_core_hours, used.core_spent, used.core_reserved),
            Sums("GPU-hours", row.run_gpu_hours, row.month_gpu_hours, used.gpu_spent, used.gpu_reserved),
        ),
        unknown=used.unknown,
        estimated=used.estimated,
    )


def _used(project_id: uuid.UUID, begins: datetime, but: uuid.UUID | None) -> Any:
    """One query over `ix_runs_budget`. A run counts as live until its end, whichever month it is from, and then in the
    month of its end."""
    live, ended = Run.ended_at.is_(None), Run.ended_at.is_not(None)
    core = func.coalesce(Run.core_hours, Run.worst_core_hours)
    gpu = func.coalesce(Run.gpu_hours, Run.worst_gpu_hours)
    told = and_(Run.core_hours.is_not(None), Run.gpu_hours.is_not(None))
    query = select(
        _sum(core, ended).label("core_spent"),
        _sum(Run.worst_core_hours, live).label("core_reserved"),
        _sum(gpu, ended).label("gpu_spent"),
        _sum(Run.worst_gpu_hours, live).label("gpu_reserved"),
        func.count().filter(or_(core.is_(None), gpu.is_(None))).label("unknown"),
        func.count().filter(ended, ~told, core.is_not(None), gpu.is_not(None)).label("estimated"),
    ).where(Run.project_id == project_id, or_(live, Run.ended_at >= begins), Run.origin == "submitted")
    return query.where(Run.id != but) if but is not None else query


def _sum(hours: Any, which: ColumnElement[bool]) -> Any:
    return func.coalesce(func.sum(hours).filter(which), 0.0)
