"""A project with a budget guard: requests that cost so many core-hours, and what became of them."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update

from gateway.budgets import service
from gateway.db.session import Database
from gateway.runs import intake, preview
from gateway.runs.rows import Run
from gateway.runs.states import State
from gateway.schemas.budgets import BudgetView, SetBudget
from gateway.schemas.runs import Preview, SubmitRun, SubmittedRun
from gateway.subscriptions.rows import Delivery, Subscription
from tests.gateway.engine.yard import Yard

NOON = datetime(2026, 11, 15, 12, 0, tzinfo=UTC)


class Till:
    def __init__(self, yard: Yard) -> None:
        self.yard, self.db, self.settings = yard, yard.db, yard.context.settings

    async def set(self, guard: str = "refuse", *, run: Any = None, month: Any = None, zone: str = "UTC") -> BudgetView:
        caps = {"per_run": run or {}, "per_month": month or {}}
        body = SetBudget.model_validate({"budget_guard": guard, "time_zone": zone, **caps})
        return await service.change(self.db, self.yard.caller, self.yard.project_id, body)

    async def show(self) -> BudgetView:
        return await service.show(self.db, self.yard.caller, self.yard.project_id)

    def body(self, hours: int | None, *, gpus: int = 0, **more: Any) -> SubmitRun:
        """Of one CPU for so many hours; None leaves the time to the site."""
        resources: dict[str, Any] = {
            "Queue": "batch",
            "Nodes": 1,
            "TasksPerNode": 1,
            "CPUsPerTask": 1,
            "GPUsPerNode": gpus,
        }
        if hours is not None:
            resources["Runtime"] = f"{hours}h"
        return self.yard.body(config={"Resources": resources}, **more)

    async def submit(
        self, hours: int | None, *, db: Database | None = None, key: str | None = None, **more: Any
    ) -> SubmittedRun:
        body = self.body(hours, **more)
        return await self.send(body, db=db, key=key)

    async def send(self, body: SubmitRun, *, db: Database | None = None, key: str | None = None) -> SubmittedRun:
        doors = (db or self.db, self.settings, self.yard.caller, self.yard.project_id)
        return await intake.submit(*doors, body, key=key)

    async def preview(self, body: SubmitRun) -> Preview:
        doors = (self.db, self.settings, self.yard.context.planner, self.yard.caller, self.yard.project_id)
        return await preview.preview(*doors, body)

    async def submit_previewed(self, body: SubmitRun, token: str) -> SubmittedRun:
        doors = (self.db, self.settings, self.yard.context.planner, self.yard.caller, self.yard.project_id)
        asked = body.model_copy(update={"preview_token": token})
        return await preview.submit_previewed(*doors, asked, key=None)

    async def end(self, run_id: uuid.UUID, at: datetime, **cost: float) -> None:
        """The run ends, without an engine."""
        values = {"state": State.FINISHED, "ended_at": at, "due_at": None, **cost}
        async with self.db.transaction() as session:
            await session.execute(update(Run).where(Run.id == run_id).values(**values))

    async def count(self) -> int:
        async with self.db.reading() as session:
            return int(await session.scalar(select(func.count()).select_from(Run)) or 0)

    async def subscribe(self, *, of_project: bool = True) -> None:
        """To budget guards; nothing is sent."""
        async with self.db.transaction() as session:
            project = self.yard.project_id if of_project else None
            values = {"kind": "webhook", "target": "https://hooks.invalid", "events": ["BUDGET_GUARD"]}
            session.add(Subscription(user_id=self.yard.caller.user_id, name="hook", project_id=project, **values))

    async def told(self) -> list[Delivery]:
        async with self.db.reading() as session:
            rows = await session.scalars(select(Delivery).order_by(Delivery.created_at, Delivery.key))
            return [row for row in rows if row.event == "BUDGET_GUARD"]

    async def reasons(self) -> list[str | None]:
        return sorted(str(one.reason) for one in await self.told())
