"""Group commit: what many tasks ask of the database at the same time is done by one transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import DBAPIError

AT_MOST = 64
Item = TypeVar("Item")
Result = TypeVar("Result")


class Together(Generic[Item, Result]):
    """Calls that come in while one is under way are done by the next, together; who comes alone does not wait.

    `act` takes the items and gives their results in the same order. When it fails for a reason that may be one item's
    own, each item is done by itself. A caller that is cancelled leaves its item to be done or not, as a lost reply."""

    def __init__(self, act: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], at_most: int = AT_MOST) -> None:
        self._act = act
        self._at_most = at_most
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The result of the item. The work begins after this call. Raises what `act` raises."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), self._at_most)
            taken = [self._waiting.popleft() for _ in range(count)]
            await self._do([(item, future) for item, future in taken if not future.done()])

    async def _do(self, taken: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        if not taken:
            return
        try:
            results = await self._act([item for item, _ in taken])
        except Exception as error:
            if len(taken) > 1 and not _nobody_answers(error):
                for one in taken:
                    await self._do([one])
                return
            for _, future in taken:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), result in zip(taken, results, strict=True):
                if not future.done():
                    future.set_result(result)

    async def aclose(self) -> None:
        """Wait for the end of what was begun."""
        if self._working is not None:
            await asyncio.wait({self._working})


def _nobody_answers(error: Exception) -> bool:
    return isinstance(error, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated)
