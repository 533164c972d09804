"""The budget guard of a project: shown to its members, set by its maintainers."""

import uuid

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.budgets.cost import WorstCase
from gateway.budgets.guard import Sums
from gateway.budgets.ledger import ledger_of
from gateway.budgets.rows import Budget
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden, InvalidInput
from gateway.projects.access import require, sees_details
from gateway.runs.views import user_names
from gateway.schedules.timing import zone
from gateway.schemas.budgets import BudgetView, HoursView, SetBudget, WorstCaseView
from gateway.schemas.users import UserView
from gateway.users.caller import Caller


async def show(db: Database, caller: Caller, project_id: uuid.UUID) -> BudgetView:
    """Members; others where the project shows its details."""
    async with db.reading() as session:
        if not await sees_details(session, caller, await require(session, caller, project_id, "guest")):
            raise Forbidden("The budget of this project is for its members.")
        return await _view(session, project_id)


async def change(db: Database, caller: Caller, project_id: uuid.UUID, body: SetBudget) -> BudgetView:
    """Replace the guard. Live runs go on, whatever it says. Raises InvalidInput."""
    zone(body.time_zone)
    caps = _caps(body)
    if body.budget_guard != "off" and not any(cap is not None for cap in caps.values()):
        raise InvalidInput("perMonth: a guard that is on needs a cap. Give coreHours or gpuHours, here or in perRun.")
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "maintainer")
            row = await session.get(Budget, project_id, with_for_update=True)
            if row is None:
                row = Budget(project_id=project_id)
                session.add(row)
            values = {"guard": body.budget_guard, "zone": body.time_zone, **caps}
            for name, value in {**values, "changed_at": clock.now(), "changed_by": caller.user_id}.items():
                setattr(row, name, value)
            audit(session, caller, "budget.change", "project", project_id, **values)
            await session.flush()
            return await _view(session, project_id)
    except IntegrityError:
        raise Conflict("Somebody else set the guard just now.", next_step="Look at it: mantik budget show") from None


def hours_view(worst: WorstCase) -> HoursView:
    return HoursView(core_hours=worst.core.hours, gpu_hours=worst.gpu.hours)


def worst_case_view(worst: WorstCase) -> WorstCaseView:
    """With what would have to be known."""
    return WorstCaseView(core_hours=worst.core.hours, gpu_hours=worst.gpu.hours, missing=list(worst.missing))


def _caps(body: SetBudget) -> dict[str, float | None]:
    return {
        "run_core_hours": body.per_run.core_hours,
        "run_gpu_hours": body.per_run.gpu_hours,
        "month_core_hours": body.per_month.core_hours,
        "month_gpu_hours": body.per_month.gpu_hours,
    }


async def _view(session: AsyncSession, project_id: uuid.UUID) -> BudgetView:
    ledger, row = await ledger_of(session, project_id), await session.get(Budget, project_id)
    names = await user_names(session, [row.changed_by]) if row is not None else {}
    core, gpu = ledger.sums
    return BudgetView(
        project_id=project_id,
        budget_guard=ledger.guard.value,
        per_run=HoursView(core_hours=core.per_run, gpu_hours=gpu.per_run),
        per_month=HoursView(core_hours=core.per_month, gpu_hours=gpu.per_month),
        time_zone=row.zone if row is not None else "UTC",
        month=ledger.month.name,
        month_begins=ledger.month.begins,
        month_ends=ledger.month.ends,
        spent=HoursView(core_hours=_rounded(core.spent), gpu_hours=_rounded(gpu.spent)),
        reserved=HoursView(core_hours=_rounded(core.reserved), gpu_hours=_rounded(gpu.reserved)),
        left=HoursView(core_hours=_left(core), gpu_hours=_left(gpu)),
        estimated_runs=ledger.estimated,
        unknown_runs=ledger.unknown,
        as_of=clock.now(),
        changed_at=row.changed_at if row is not None else None,
        changed_by=UserView(user_id=row.changed_by, name=names.get(row.changed_by, "")) if row is not None else None,
    )


def _left(one: Sums) -> float | None:
    return _rounded(one.per_month - one.used) if one.per_month is not None else None


def _rounded(hours: float) -> float:
    return round(hours, 6)
