"""Group commit: what comes at once is done at once, and one bad item is nobody else's fault."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from gateway.together import Together


class Desk:
    """Takes items when it is let to, and remembers which came together."""

    def __init__(self, *, open_at_once: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.bad: dict[int, Exception] = {}
        if open_at_once:
            self.open.set()

    async def take(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.open.wait()
        for item in items:
            if item in self.bad:
                raise self.bad[item]
        return [item * 10 for item in items]


async def test_who_comes_alone_is_served_at_once() -> None:
    desk = Desk()
    together = Together(desk.take)
    assert [await together(1), await together(2)] == [10, 20]
    assert desk.batches == [[1], [2]]


async def test_what_comes_while_one_is_under_way_is_the_next_ones() -> None:
    desk = Desk(open_at_once=False)
    together = Together(desk.take, at_most=3)
    calls = [asyncio.create_task(together(1))]
    await asyncio.sleep(0.01)
    calls += [asyncio.create_task(together(n)) for n in range(2, 7)]
    await asyncio.sleep(0.01)
    desk.open.set()
    assert await asyncio.gather(*calls) == [10, 20, 30, 40, 50, 60]
    assert desk.batches == [[1], [2, 3, 4], [5, 6]]


async def test_a_bad_item_fails_alone() -> None:
    desk = Desk()
    desk.bad[2] = ValueError("two is bad")
    answers = await asyncio.gather(*map(Together(desk.take), (1, 2, 3)), return_exceptions=True)
    assert [answers[0], answers[2]] == [10, 30]
    assert answers[1] is desk.bad[2]
    assert desk.batches == [[1, 2, 3], [1], [2], [3]]


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), OperationalError("SELECT 1", {}, Exception(), connection_invalidated=True)]
)
async def test_a_database_that_is_away_is_not_asked_once_more_for_each(error: Exception) -> None:
    desk = Desk()
    desk.bad[1] = error
    answers = await asyncio.gather(*map(Together(desk.take), (1, 2, 3)), return_exceptions=True)
    assert answers == [error, error, error]
    assert desk.batches == [[1, 2, 3]]


async def test_who_is_cancelled_before_its_turn_is_left_out_and_holds_nobody_up() -> None:
    desk = Desk(open_at_once=False)
    together = Together(desk.take)
    calls = [asyncio.create_task(together(1))]
    await asyncio.sleep(0.01)
    calls += [asyncio.create_task(together(n)) for n in (2, 3)]
    await asyncio.sleep(0.01)
    calls[0].cancel()
    calls[1].cancel()
    desk.open.set()
    assert await calls[2] == 30
    assert desk.batches == [[1], [3]]


async def test_closing_waits_for_what_was_begun() -> None:
    desk = Desk(open_at_once=False)
    together = Together(desk.take)
    call = asyncio.create_task(together(1))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(together.aclose())
    await asyncio.sleep(0.01)
    assert not closing.done()
    desk.open.set()
    await closing
    assert await call == 10


async def test_closing_what_was_never_used_or_was_broken_off_does_not_hang() -> None:
    await Together(Desk().take).aclose()
    desk = Desk(open_at_once=False)
    together = Together(desk.take)
    call = asyncio.create_task(together(1))
    await asyncio.sleep(0.01)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    async with asyncio.timeout(5):
        await together.aclose()
    await asyncio.wait({call}, timeout=5)
    assert call.cancelled()
