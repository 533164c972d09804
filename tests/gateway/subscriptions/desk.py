"""A user who wants to be told, over a yard of engines: subscriptions, what arrived, and what is stored of it."""

import asyncio
import time
import uuid
from typing import Any

from sqlalchemy import select, update

from backends.fake import FakeJob
from gateway.db.lease import later
from gateway.engine.postman import Postman
from gateway.runs.rows import Event
from gateway.schemas.subscriptions import NewSubscription, SaveSubscription
from gateway.subscriptions import service, telling
from gateway.subscriptions.rows import Delivery, Subscription
from gateway.users.caller import Caller
from tests.gateway.engine.yard import PATIENCE, Yard
from tests.gateway.subscriptions.receiver import Receiver


async def fails(job: FakeJob) -> int:
    job.log("Traceback: the password is hunter2\n")
    return 3


class Desk:
    def __init__(self, yard: Yard, receiver: Receiver) -> None:
        self.yard, self.receiver = yard, receiver
        self.db, self.context = yard.db, yard.context

    async def subscribe(self, name: str = "mine", *, caller: Caller | None = None, **more: Any) -> NewSubscription:
        who = caller or self.yard.caller
        doors = (self.db, self.context.vault, self.context.messengers, who, who.user_id)
        body = {"name": name, "kind": "webhook", "url": self.receiver.url, **more}
        return await service.create(*doors, SaveSubscription.model_validate(body))

    async def tell(self, *keys: str, **more: Any) -> None:
        """Something happened to the user of the yard."""
        values = {"event": "RUN_FAILED", "at": telling.clock.now(), "text": "It failed.", **more}
        values.setdefault("owner_id", self.yard.caller.user_id)
        async with self.db.transaction() as session:
            await telling.tell(session, [telling.Happening(key=key, **values) for key in keys])

    async def failed_run(self) -> uuid.UUID:
        """By an engine that runs."""
        run_id = await self.yard.submit(self.yard.program(fails))
        assert (await self.yard.until_quiet(run_id)).state == "FAILED"
        return run_id

    async def deliveries(self) -> list[Delivery]:
        async with self.db.reading() as session:
            return list(await session.scalars(select(Delivery).order_by(Delivery.created_at, Delivery.key)))

    async def states(self) -> list[str]:
        return [delivery.state for delivery in await self.deliveries()]

    async def subscription(self, subscription_id: uuid.UUID) -> Subscription:
        async with self.db.reading() as session:
            return await session.get_one(Subscription, subscription_id)

    async def untold(self) -> list[str]:
        async with self.db.reading() as session:
            return list(await session.scalars(select(Event.untold).where(Event.untold.is_not(None))))

    async def is_told(self) -> bool:
        """Whether the deliveries of all that happened are made."""
        return await self.untold() == []

    async def pass_time(self) -> None:
        """The next try of what waits is due."""
        async with self.db.transaction() as session:
            waits = Delivery.due_at.is_not(None)
            await session.execute(update(Delivery).where(waits).values(due_at=later(session, 0)))
        await self.yard.pass_time()

    async def until(self, count: int, state: str = "DELIVERED") -> list[Delivery]:
        """Let time pass until so many messages are in that state, and none else is there."""
        end = time.monotonic() + PATIENCE
        while await self.states() != [state] * count:
            told = [(d.state, d.attempts, d.problem) for d in await self.deliveries()]
            assert time.monotonic() < end, f"not {count} {state}: {told}"
            await self.pass_time()
            await asyncio.sleep(0.02)
        return await self.deliveries()

    async def postman(self) -> "Round":
        """One more gateway, of which only what tells subscribers runs, and only when a test says so."""
        return Round((await self.yard.engine(start=False))._postman)


class Round:
    def __init__(self, postman: Postman) -> None:
        self.postman, self._turns = postman, list[asyncio.Task[None]]()
        postman.spawn = lambda work: self._turns.append(asyncio.ensure_future(work))  # type: ignore[arg-type,return-value]

    async def begin(self) -> None:
        """Make deliveries and begin to send them."""
        await self.postman.round()

    async def end(self) -> None:
        await asyncio.gather(*self._turns)
        self._turns.clear()

    async def go(self) -> None:
        await self.begin()
        await self.end()

    async def kill(self) -> None:
        """As kill -9: what it holds stays held."""
        for turn in self._turns:
            turn.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)
