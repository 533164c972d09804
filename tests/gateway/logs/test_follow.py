"""Following: first chunk, gap, last chunk, live, end; resumable at every position that was told."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.context import Context
from gateway.logs import follow as module
from gateway.logs.follow import FIRST, LAST, Followed, follow
from gateway.logs.service import Position
from tests.gateway.logs.store import StoredLog, text_of


@pytest.fixture(autouse=True)
def quick_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_SECONDS", 0.01)


async def test_a_small_log_is_told_whole_and_ends(context: Context) -> None:
    log = await StoredLog.make(context)
    for part in (b"one\n", b"two\n"):
        await log.add(part)
    told = await log.followed()
    assert [one.event for one in told] == ["state", "log", "log", "end"]
    assert text_of(told) == "one\ntwo\n"
    assert (told[0].text, told[-1].text, told[-1].at) == ("FINISHED", "FINISHED", Position(0, 8))


async def test_a_run_without_a_log_just_ends(context: Context) -> None:
    log = await StoredLog.make(context, state="CANCELLED")
    assert [one.event for one in await log.followed()] == ["state", "end"]


async def test_of_a_large_log_the_first_and_the_last_chunk_are_told(context: Context) -> None:
    log = await StoredLog.make(context)
    lines = b"".join(b"line %08d\n" % n for n in range(40_000))
    for start in range(0, len(lines), 200_000):
        await log.add(lines[start : start + 200_000])
    told = await log.followed()
    kinds = [one.event for one in told if one.event != "log"]
    assert kinds == ["state", "gap", "end"]
    gap = next(n for n, one in enumerate(told) if one.event == "gap")
    assert text_of(told[:gap]).encode() == lines[:FIRST]
    assert text_of(told[gap:]).encode() == lines[-LAST:]
    assert told[gap].skipped == len(lines) - FIRST - LAST
    assert told[gap].at == Position(0, len(lines) - LAST)


async def test_a_leap_lands_on_a_whole_character(context: Context) -> None:
    log = await StoredLog.make(context)
    data = "🚀".encode() * 100_000 + b"!"
    await log.add(data)
    told = await log.followed()
    assert "\ufffd" not in text_of(told)
    assert text_of(told).endswith("🚀!")


async def test_the_whole_of_a_large_log_is_told_when_asked(context: Context) -> None:
    log = await StoredLog.make(context)
    data = bytes(range(32, 127)) * 6000
    await log.add(data)
    told = await log.followed(whole=True)
    assert "gap" not in [one.event for one in told]
    assert text_of(told).encode() == data


async def test_from_a_position_nothing_is_left_out(context: Context) -> None:
    log = await StoredLog.make(context)
    data = bytes(range(32, 127)) * 6000
    await log.add(data)
    told = await log.followed(Position(0, 7))
    assert "gap" not in [one.event for one in told]
    assert text_of(told).encode() == data[7:]


async def test_a_follower_resumes_at_every_position_it_was_told(context: Context) -> None:
    """Characters are cut by the ranges, and a state is told while half a character is held back."""
    log = await StoredLog.make(context)
    data = "ä€🚀x\n".encode() * 4
    for start in range(0, len(data), 3):
        await log.add(data[start : start + 3])
    whole = data.decode()
    told = await log.followed(Position(0, 0))
    assert text_of(told) == whole
    for n, one in enumerate(told):
        if one.event == "end":
            continue
        before = text_of(told[: n + 1])
        assert before + text_of(await log.followed(one.at)) == whole, one


async def test_a_state_told_inside_a_character_does_not_lose_it(context: Context) -> None:
    log = await StoredLog.make(context, state="QUEUED")
    await log.add("ä".encode()[:1])
    stream = follow(*log.doors, Position(0, 0))
    assert (await anext(stream)).event == "state"
    assert await anext(stream) == Followed("log", Position(0, 0), text="")
    await log.state("RUNNING")
    assert await anext(stream) == Followed("state", Position(0, 0), text="RUNNING")
    await log.add("ä".encode()[1:])
    assert await anext(stream) == Followed("log", Position(0, 2), text="ä")
    await stream.aclose()  # type: ignore[attr-defined]


async def test_bytes_that_are_no_text_do_not_stop_it(context: Context) -> None:
    log = await StoredLog.make(context)
    await log.add(b"\x00\xff\xc3")
    told = await log.followed()
    assert text_of(told) == "\x00\ufffd\ufffd"
    assert told[-1].event == "end"


async def test_a_gap_in_what_is_kept_is_told(context: Context) -> None:
    log = await StoredLog.make(context)
    await log.add(b"first")
    await log.add(b"last", start=1000)
    told = await log.followed()
    (gap,) = [one for one in told if one.event == "gap"]
    assert (gap.skipped, gap.at) == (995, Position(0, 1000))
    assert text_of(told) == "firstlast"


async def test_a_new_generation_is_told(context: Context) -> None:
    log = await StoredLog.make(context)
    await log.add("old ä".encode()[:-1])
    await log.add(b"new", generation=1)
    told = await log.followed()
    (anew,) = [one for one in told if one.event == "generation"]
    assert anew.at == Position(1, 0)
    assert text_of(told) == "old new"


async def test_live_lines_come_and_the_end_waits_for_the_tail(context: Context) -> None:
    log = await StoredLog.make(context, state="RUNNING")
    told: list[Followed] = []

    async def listen() -> None:
        async for one in follow(*log.doors, None):
            told.append(one)

    listening = asyncio.create_task(listen())

    async def until(check: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while True:
                if check():
                    return
                await asyncio.sleep(0.01)

    await log.add(b"live\n")
    await until(lambda: text_of(told) == "live\n")
    await log.collecting(True)
    await log.state("FINISHED")
    await until(lambda: told[-1].text == "FINISHED")
    assert told[-1].event == "state"
    assert not listening.done(), "its tail is not complete"
    await log.add(b"tail\n")
    await until(lambda: text_of(told) == "live\ntail\n")
    await log.collecting(False)
    await asyncio.wait_for(listening, 30)
    assert [one.event for one in told] == ["state", "log", "state", "log", "end"]


async def test_a_quiet_log_beats(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.03)
    log = await StoredLog.make(context, state="RUNNING")
    stream = follow(*log.doors, None)
    assert [(await anext(stream)).event for _ in range(3)] == ["state", "beat", "beat"]
    await stream.aclose()  # type: ignore[attr-defined]
