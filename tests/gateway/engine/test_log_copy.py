"""Copying a log from the site: each byte once, a replaced file as a new generation, a large backlog by a leap."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import select

from backends.fake import FakeSite
from backends.fake.backend import FakeBackend
from backends.fake.job import FakeAttempt
from backends.spec import Handle
from gateway.context import Context
from gateway.engine import log_copy
from gateway.engine.log_copy import LogCopy
from gateway.engine.parts import Parts
from gateway.engine.sites import Sites
from gateway.logs import service as logs
from gateway.logs.rows import LogChunk
from gateway.logs.service import Piece, Position
from gateway.runs.rows import Attempt, Event, Job, Run
from tests.gateway.world import World

CHUNK = 100


class Reader(FakeBackend):
    """Keeps what was asked for."""

    def __init__(self, site: FakeSite) -> None:
        super().__init__(site)
        self.read_ranges: list[tuple[int, int]] = []
        self.pause: Callable[[], Awaitable[None]] | None = None

    async def read(self, handle: Handle, path: str, offset: int, limit: int, area="attempt") -> bytes:  # type: ignore[no-untyped-def]
        self.read_ranges.append((offset, offset + limit))
        if self.pause is not None:
            await self.pause()
        return await super().read(handle, path, offset, limit, area)


class Desk:
    """One run with a job, its log on the site, and a copier."""

    def __init__(self, context: Context, run_id: uuid.UUID, job_id: uuid.UUID) -> None:
        self.context, self.run_id, self._job_id = context, run_id, job_id
        site = FakeSite()
        self.handle = Handle("tag", "/fake/run/1")
        self._files = site.runs["run"]
        site.attempts[self.handle.location] = FakeAttempt(self.handle.location, self._files, "1")
        self.backend = Reader(site)
        doors = (context.settings, context.db, Sites(context.db, context.vault), context.planner, context.blobs)
        self.copier = LogCopy(Parts("owner", *doors, context.tracking))
        self.mine = True

    def write(self, data: bytes) -> None:
        """A new file."""
        self._files.write("1/mantik.log", data)

    def append(self, data: bytes) -> None:
        self._files.append("1/mantik.log", data)

    def truncate(self) -> None:
        """The same file, emptied."""
        self._files.contents["1/mantik.log"].clear()

    async def copy(self, *, whole: bool = False, size: int | None = None) -> bool:
        async with self.context.db.reading() as session:
            run, job = await session.get_one(Run, self.run_id), await session.get_one(Job, self._job_id)
        found = await self.backend.stat(self.handle, "mantik.log")

        async def held(session: object) -> bool:
            return self.mine

        doors = (run, job, self.backend, self.handle)
        size = found.size if size is None else size
        return await self.copier.copy(*doors, size, found.identity, held=held, whole=whole)

    async def stored(self) -> list[tuple[int, int, bytes]]:
        """Runs of bytes without a gap: generation, start, bytes."""
        found: list[Piece] = []
        async for piece in logs.pieces(self.context.db, self.context.blobs, self.run_id, Position(0, 0)):
            if found and found[-1].end == Position(piece.generation, piece.start):
                found[-1] = replace(found[-1], data=found[-1].data + piece.data)
            else:
                found.append(piece)
        return [(p.generation, p.start, p.data) for p in found]

    async def events(self) -> list[str]:
        async with self.context.db.reading() as session:
            return list(await session.scalars(select(Event.text).where(Event.kind == "site")))

    async def blobs(self) -> int:
        folder = self.context.settings.data_dir / "blobs"
        return len([path for path in folder.rglob("*") if path.is_file()])


@pytest.fixture
async def desk(context: Context, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(log_copy, "CHUNK", CHUNK)
    monkeypatch.setattr(log_copy, "PER_TICK", 4 * CHUNK)
    monkeypatch.setattr(log_copy, "LEAP", 16 * CHUNK)
    world = World(context)
    run_id = uuid.UUID((await world.run(await world.place())).ids["runId"])
    async with context.db.transaction() as session:
        attempt = Attempt(run_id=run_id, n=1, tag="tag", location="/fake/run/1")
        session.add(attempt)
        await session.flush()
        job = Job(attempt_id=attempt.id, run_id=run_id, site_job_id="1")
        session.add(job)
        await session.flush()
    return Desk(context, run_id, job.id)


async def test_each_byte_is_read_once(desk: Desk) -> None:
    whole = b""
    for part in (b"first\n", b"second\n", b"x" * 250):
        desk.append(part) if whole else desk.write(part)
        whole += part
        assert await desk.copy()
        assert not await desk.copy(), "nothing new"
    assert await desk.stored() == [(0, 0, whole)]
    ranges = desk.backend.read_ranges
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(whole)
    assert all(one[1] == other[0] for one, other in pairwise(ranges))


async def test_it_never_asks_past_the_size_that_was_seen(desk: Desk) -> None:
    desk.write(b"0123456789")
    await desk.copy(size=4)
    assert await desk.stored() == [(0, 0, b"0123")]


async def test_a_tick_takes_a_bounded_part_and_the_end_takes_all(desk: Desk) -> None:
    desk.write(b"y" * 1000)
    assert await desk.copy()
    ((_, _, data),) = await desk.stored()
    assert len(data) == 4 * CHUNK
    await desk.copy(whole=True)
    assert await desk.stored() == [(0, 0, b"y" * 1000)]


async def test_a_large_backlog_keeps_the_first_chunk_and_leaps_to_the_last(desk: Desk) -> None:
    data = bytes(n % 251 for n in range(50 * CHUNK))
    desk.write(data)
    await desk.copy()
    assert await desk.stored() == [(0, 0, data[:CHUNK]), (0, 49 * CHUNK, data[-CHUNK:])]
    assert len(desk.backend.read_ranges) == 2
    desk.append(b"live")
    await desk.copy()
    assert (await desk.stored())[-1] == (0, 49 * CHUNK, data[-CHUNK:] + b"live")


async def test_a_log_that_shrank_begins_a_new_generation(desk: Desk) -> None:
    desk.write(b"long old log")
    await desk.copy()
    desk.truncate()
    desk.append(b"new")
    for _ in range(3):
        await desk.copy()
    desk.append(b"er")
    await desk.copy()
    assert await desk.stored() == [(0, 0, b"long old log"), (1, 0, b"newer")]
    assert len(await desk.events()) == 1


async def test_a_log_that_was_replaced_by_a_longer_one_begins_a_new_generation(desk: Desk) -> None:
    desk.write(b"old")
    await desk.copy()
    desk.write(b"longer and new")
    await desk.copy()
    desk.append(b"!")
    await desk.copy()
    await desk.copy(whole=True)
    assert await desk.stored() == [(0, 0, b"old"), (1, 0, b"longer and new!")]
    assert len(await desk.events()) == 1


async def test_an_old_size_of_the_same_file_is_no_new_file(desk: Desk) -> None:
    """A network file system may show one for a moment."""
    desk.write(b"first second ")
    await desk.copy()
    desk.truncate()
    for _ in range(2):
        assert not await desk.copy()
    desk.append(b"first second third")
    await desk.copy()
    assert await desk.stored() == [(0, 0, b"first second third")]
    assert await desk.events() == []


async def test_an_emptied_log_is_said_when_something_is_in_it_again(desk: Desk) -> None:
    desk.write(b"old")
    await desk.copy()
    desk.truncate()
    for _ in range(3):
        assert not await desk.copy()
    assert await desk.events() == []
    desk.append(b"n")
    await desk.copy()
    assert await desk.stored() == [(0, 0, b"old"), (1, 0, b"n")]


async def test_a_large_replaced_log_is_one_generation_over_many_ticks(desk: Desk) -> None:
    desk.write(b"old")
    await desk.copy()
    desk.write(b"n" * 1000)
    while await desk.copy():
        pass
    assert await desk.stored() == [(0, 0, b"old"), (1, 0, b"n" * 1000)]


async def test_who_lost_the_lease_stores_nothing(desk: Desk) -> None:
    desk.write(b"one")
    await desk.copy()
    desk.append(b"two")
    desk.mine = False
    assert not await desk.copy()
    assert not await desk.copy(size=1), "an old size does not begin a generation"
    assert await desk.stored() == [(0, 0, b"one")]
    assert await desk.events() == []
    assert await desk.blobs() == 1


async def test_two_copiers_at_once_store_each_byte_once(desk: Desk) -> None:
    desk.write(b"z" * 350)
    both = asyncio.Barrier(2)

    async def meet() -> None:
        await both.wait()
        desk.backend.pause = None

    desk.backend.pause = meet
    assert sum(await asyncio.gather(desk.copy(), desk.copy())) >= 1
    await desk.copy()
    assert await desk.stored() == [(0, 0, b"z" * 350)]
    async with desk.context.db.reading() as session:
        assert await desk.blobs() == len((await session.scalars(select(LogChunk))).all()), "no blob without a row"


async def test_what_is_too_much_is_pruned_but_the_first_and_the_newest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = desk.context.settings.model_copy(update={"max_log_bytes": 3 * CHUNK})
    desk.copier = LogCopy(replace(desk.copier.parts, settings=limited))
    data = bytes(n % 251 for n in range(6 * CHUNK))
    desk.write(data[:CHUNK])
    for n in range(1, 6):
        await desk.copy()
        desk.append(data[n * CHUNK : (n + 1) * CHUNK])
    await desk.copy()
    assert await desk.stored() == [(0, 0, data[:CHUNK]), (0, 4 * CHUNK, data[4 * CHUNK :])]
    assert await desk.blobs() == 3
