"""One finished run to repeat, a clock that the tests turn, and what came of the schedules."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from gateway import clock
from gateway.connections.rows import Connection, CredentialVersion
from gateway.projects.rows import Member
from gateway.runs.rows import Run
from gateway.runs.states import State
from gateway.schedules import rounds, saving
from gateway.schedules.rows import Firing, Schedule
from gateway.schemas.schedules import CreateSchedule, ScheduleView
from gateway.users.caller import Caller
from gateway.users.rows import User
from tests.gateway.engine.yard import Yard

COMMIT = "c0ffee" * 6 + "c0ff"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""A Monday."""


class Office:
    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.db, self.settings = yard.db, yard.context.settings
        self.now = NOON
        self.run_id = uuid.UUID(int=0)

    async def open(self) -> None:
        clock.use(lambda: self.now)
        self.run_id = await self.yard.submit(name="train", compute_budget_account="hpc-1")
        await self.end(self.run_id)

    async def end(self, run_id: uuid.UUID, state: State = State.FINISHED) -> None:
        """The run ends, without an engine."""
        values = {"state": state, "commit": COMMIT, "ended_at": self.now, "due_at": None}
        async with self.db.transaction() as session:
            await session.execute(update(Run).where(Run.id == run_id).values(**values))

    def body(self, expression: str = "0 * * * *", **more: Any) -> CreateSchedule:
        return CreateSchedule.model_validate(
            {"name": "hourly", "run_id": self.run_id, "cron_expression": expression, **more}
        )

    async def create(self, expression: str = "0 * * * *", **more: Any) -> ScheduleView:
        caller = more.pop("caller", self.yard.caller)
        body = self.body(expression, **more)
        return await saving.create(self.db, self.settings, caller, self.yard.project_id, body)

    async def pass_time(self, **length: float) -> None:
        """Turn the clock, without a look."""
        self.now += timedelta(**length)

    async def later(self, **length: float) -> int:
        """Turn the clock, then look as long as there is something to do; how many runs were made."""
        self.now += timedelta(**length)
        return await self.look()

    async def look(self) -> int:
        made, more = 0, True
        while more:
            done = await rounds.go(self.db, self.settings)
            made, more = made + done.made, done.more
        return made

    async def schedule(self, schedule_id: uuid.UUID) -> Schedule:
        async with self.db.reading() as session:
            return await session.get_one(Schedule, schedule_id)

    async def firings(self, schedule_id: uuid.UUID) -> list[Firing]:
        async with self.db.reading() as session:
            query = select(Firing).where(Firing.schedule_id == schedule_id).order_by(Firing.nominal_at)
            return list(await session.scalars(query))

    async def history(self, schedule_id: uuid.UUID) -> list[str]:
        """Each firing as `HH:MM STATE [REASON]`, by its nominal time."""
        return [
            " ".join(filter(None, (f"{f.nominal_at:%H:%M}", f.state, f.reason)))
            for f in await self.firings(schedule_id)
        ]

    async def runs(self) -> list[Run]:
        """Those that schedules made."""
        async with self.db.reading() as session:
            query = select(Run).where(Run.id != self.run_id).order_by(Run.created_at, Run.name)
            return list(await session.scalars(query))

    async def set(self, table: Any, **values: Any) -> None:
        async with self.db.transaction() as session:
            await session.execute(update(table).values(**values))

    async def member(self, role: str | None) -> None:
        """The owner of the connection gets another role, or leaves."""
        here = Member.user_id == self.yard.caller.user_id
        async with self.db.transaction() as session:
            if role is None:
                member = await session.get_one(Member, (self.yard.project_id, self.yard.caller.user_id))
                await session.delete(member)
            else:
                await session.execute(update(Member).where(here).values(role=role))

    async def colleague(self, role: str, connection: str | None = None) -> tuple[Caller, uuid.UUID | None]:
        """Who has a role in the project, or a stranger; with a connection to the same site where one is named."""
        async with self.db.transaction() as session:
            user = await session.scalar(select(User).where(User.name == role))
            if user is None:
                user = User(name=role)
                session.add(user)
                await session.flush()
            caller = Caller(user.id, role)
            if connection is None:
                return caller, None
            mine = await session.get_one(Connection, self.yard.connection_id)
            same: Mapping[str, Any] = {"provider": mine.provider, "auth_method": "None", "site_id": mine.site_id}
            theirs = Connection(owner_id=user.id, name=connection, **same)
            session.add(theirs)
            await session.flush()
            session.add(CredentialVersion(connection_id=theirs.id, version=1, created_at=self.now))
            return caller, theirs.id
