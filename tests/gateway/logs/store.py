"""A run with a stored log, written straight into the store."""

import uuid

from sqlalchemy import delete, update

from gateway.context import Context
from gateway.logs import service as logs
from gateway.logs.follow import Followed, follow
from gateway.logs.service import Position
from gateway.runs.moves import set_condition
from gateway.runs.rows import Condition, Run
from gateway.runs.states import ConditionName
from tests.gateway.world import World


class StoredLog:
    def __init__(self, context: Context, run_id: uuid.UUID) -> None:
        self.context = context
        self.doors = (context.db, context.blobs, run_id)
        self.run_id = run_id

    @classmethod
    async def make(cls, context: Context, *, state: str = "FINISHED") -> "StoredLog":
        world = World(context)
        place = await world.run(await world.place(), state=state)
        return cls(context, uuid.UUID(place.ids["runId"]))

    async def add(self, data: bytes, *, generation: int | None = None, start: int | None = None) -> None:
        """One more range; without a place, where the log ends."""
        async with self.context.db.transaction() as session:
            end = await logs.end(session, self.run_id)
            at = Position(end.generation, end.offset) if generation is None else Position(generation, 0)
            at = Position(at.generation, start) if start is not None else at
            key = logs.new_key(self.run_id, at)
            await self.context.blobs.put(key, data)
            logs.append(session, self.run_id, at, len(data), key)

    async def state(self, state: str) -> None:
        async with self.context.db.transaction() as session:
            await session.execute(update(Run).where(Run.id == self.run_id).values(state=state))

    async def collecting(self, there: bool) -> None:
        async with self.context.db.transaction() as session:
            if there:
                await set_condition(session, self.run_id, ConditionName.COLLECTING, "x")
            else:
                await session.execute(delete(Condition).where(Condition.run_id == self.run_id))

    async def followed(self, at: Position | None = None, *, whole: bool = False) -> list[Followed]:
        """Of a run that has ended: all that a follower is told."""
        return [told async for told in follow(*self.doors, at, whole=whole)]


def text_of(told: list[Followed]) -> str:
    return "".join(one.text for one in told if one.event == "log")
