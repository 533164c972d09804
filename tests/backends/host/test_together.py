"""What goes together, and what becomes of each caller."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from backends.errors import SiteUnavailable
from backends.host.together import AT_MOST, SIZE_MOST, UNDER_WAY, Together


@dataclass(frozen=True)
class Asked:
    key: str
    size: int = 1


class Site:
    """Keeps every act until it is let go, and answers a call by its key."""

    def __init__(self) -> None:
        self.acts: list[list[str]] = []
        self.broken_off: list[list[str]] = []
        self.going = asyncio.Event()
        self.together = Together(self.act)

    async def act(self, calls: Sequence[Asked]) -> Sequence[str]:
        keys = [call.key for call in calls]
        self.acts.append(keys)
        try:
            await self.going.wait()
        except asyncio.CancelledError:
            self.broken_off.append(keys)
            raise
        if "bad" in keys:
            raise SiteUnavailable("The connection is gone.", text="reset")
        return [f"answer {key}" for key in keys]

    def ask(self, key: str, size: int = 1) -> "asyncio.Task[str]":
        return asyncio.create_task(self.together.ask(Asked(key, size)))

    async def asked(self, *keys: str) -> list["asyncio.Task[str]"]:
        """Tasks whose calls have come as far as they can."""
        tasks = [self.ask(key) for key in keys]
        await self.settle()
        return tasks

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def busy(self) -> list["asyncio.Task[str]"]:
        """As many acts under way as there may be."""
        return [task for k in range(UNDER_WAY) for task in await self.asked(f"busy{k}")]


@pytest.fixture
async def site() -> Site:
    return Site()


async def test_calls_of_one_moment_go_together_and_get_their_own_answers(site: Site) -> None:
    tasks = await site.asked("a", "b", "c")
    assert site.acts == [["a", "b", "c"]]
    site.going.set()
    assert await asyncio.gather(*tasks) == ["answer a", "answer b", "answer c"]


async def test_what_comes_while_acts_are_under_way_waits_in_order_and_goes_together(site: Site) -> None:
    busy = await site.busy()
    tasks = [task for key in "cab" for task in await site.asked(key)]
    assert len(site.acts) == UNDER_WAY
    site.going.set()
    assert await asyncio.gather(*tasks) == ["answer c", "answer a", "answer b"]
    assert site.acts[UNDER_WAY:] == [["c", "a", "b"]]
    await asyncio.gather(*busy)


async def test_an_act_is_bounded_in_calls_and_bytes(site: Site) -> None:
    site.going.set()
    await asyncio.gather(*(site.ask(str(k)) for k in range(AT_MOST + 3)))
    assert [len(act) for act in site.acts] == [AT_MOST, 3]
    site.acts.clear()
    await asyncio.gather(site.ask("small"), site.ask("huge", 2 * SIZE_MOST), site.ask("last"))
    assert site.acts == [["small"], ["huge"], ["last"]]


async def test_two_calls_of_one_key_never_go_in_one_act(site: Site) -> None:
    site.going.set()
    assert await asyncio.gather(*map(site.ask, "aabb")) == ["answer a", "answer a", "answer b", "answer b"]
    assert site.acts == [["a", "b"], ["a", "b"]]


async def test_an_error_is_raised_at_each_caller_as_its_own(site: Site) -> None:
    tasks = await site.asked("good", "bad")
    site.going.set()
    raised = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(error), str(error), error.text) for error in raised if isinstance(error, SiteUnavailable)] == [
        (SiteUnavailable, "The connection is gone.", "reset")
    ] * 2
    assert raised[0] is not raised[1]
    assert await site.ask("later") == "answer later"


async def test_a_cancelled_caller_harms_no_other(site: Site) -> None:
    stays, goes = await site.asked("stays", "goes")
    goes.cancel()
    await site.settle()
    assert goes.cancelled()
    assert site.broken_off == []
    site.going.set()
    assert await stays == "answer stays"


async def test_an_act_whose_callers_are_all_gone_is_broken_off(site: Site) -> None:
    tasks = await site.asked("a", "b")
    for task in tasks:
        task.cancel()
    await site.settle()
    assert site.broken_off == [["a", "b"]]
    site.going.set()
    assert await site.ask("c") == "answer c", "its place is free again"


async def test_who_is_cancelled_while_it_waits_is_not_sent(site: Site) -> None:
    busy = await site.busy()
    goes, stays = await site.asked("goes", "stays")
    goes.cancel()
    await site.settle()
    site.going.set()
    assert await stays == "answer stays"
    assert site.acts[-1] == ["stays"]
    await asyncio.gather(*busy)


async def test_callers_that_leave_before_their_act_began_leave_no_act_behind(site: Site) -> None:
    site.going.set()
    for n in range(UNDER_WAY + 1):
        task = site.ask(f"{n}")
        await asyncio.sleep(0)  # it asks; it is sent next
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5):
        assert await site.ask("later") == "answer later"


async def test_who_is_seen_out_leaves_when_its_act_is_over() -> None:
    site = Site()
    site.together = Together(site.act, seen_out=True)
    one, other = await site.asked("one", "other")
    one.cancel()
    await site.settle()
    assert not one.done()
    site.going.set()
    assert await other == "answer other"
    await asyncio.wait({one})
    assert one.cancelled()
