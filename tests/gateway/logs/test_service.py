"""Stored ranges: read from any byte, over gaps and generations; bytes cut inside a character; the last lines."""

from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from gateway.context import Context
from gateway.logs import service as logs
from gateway.logs.blobs import DirectoryBlobs
from gateway.logs.rows import LogChunk
from gateway.logs.service import Piece, Position, TextCutter
from gateway.logs.tail import MOST, tail
from tests.gateway.logs.store import StoredLog

MIXED = "a ä € 🚀 \u0301x".encode() + b"\xff\xfe\x00" + b"ende\n"


async def test_a_log_is_read_from_any_byte_in_any_steps(context: Context) -> None:
    log = await StoredLog.make(context)
    for part in (b"0123", b"456", b"789"):
        await log.add(part)
    for start in range(11):
        for limit in (1, 2, 4, 100):
            at, got = Position(0, start), b""
            while (piece := await logs.read(*log.doors, at, limit)) is not None:
                assert len(piece.data) <= limit
                got, at = got + piece.data, piece.end
            assert got == b"0123456789"[start:]


async def test_what_is_not_kept_is_passed_over_and_shows(context: Context) -> None:
    log = await StoredLog.make(context)
    await log.add(b"first")
    await log.add(b"last", start=100)
    assert await logs.read(*log.doors, Position(0, 5), 10) == Piece(0, 100, b"last")
    assert await logs.read(*log.doors, Position(0, 50), 10) == Piece(0, 100, b"last")
    assert await logs.read(*log.doors, Position(0, 104), 10) is None
    async with context.db.reading() as session:
        assert await logs.end(session, log.run_id) == Position(0, 104)
        assert await logs.size(session, log.run_id) == 9


async def test_generations_follow_each_other(context: Context) -> None:
    log = await StoredLog.make(context)
    await log.add(b"old log")
    await log.add(b"new", generation=1)
    assert [p async for p in logs.pieces(*log.doors, Position(0, 4))] == [Piece(0, 4, b"log"), Piece(1, 0, b"new")]
    assert await logs.read(*log.doors, Position(0, 999), 10) == Piece(1, 0, b"new")
    assert await logs.read(*log.doors, Position(2, 0), 10) is None
    async with context.db.reading() as session:
        assert await logs.end(session, log.run_id) == Position(1, 3)


async def test_no_log_is_no_error(context: Context) -> None:
    log = await StoredLog.make(context)
    assert await logs.read(*log.doors, Position(0, 0), 10) is None
    assert await tail(*log.doors, 10) == (Position(0, 0), b"")


async def test_a_range_is_stored_once(context: Context) -> None:
    log = await StoredLog.make(context)
    await log.add(b"mine", start=0)
    with pytest.raises(IntegrityError):
        await log.add(b"longer", start=0)
    assert await logs.read(*log.doors, Position(0, 0), 10) == Piece(0, 0, b"mine")


async def test_a_range_that_was_pruned_while_it_was_looked_up_is_passed_over(context: Context) -> None:
    log = await StoredLog.make(context)
    for part in (b"one", b"two", b"three"):
        await log.add(part)
    async with context.db.transaction() as session:
        await session.execute(update(LogChunk).where(LogChunk.start == 3).values(blob_key="logs/gone.z"))
    assert await logs.read(*log.doors, Position(0, 3), 10) == Piece(0, 6, b"three")


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "-1.0", "1.-1", "a.b", "1.2.3", "1.²", " 1.1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no position"):
        Position.parse(text)


def test_a_position_survives_its_text() -> None:
    assert Position.parse(str(Position(3, 12345678901))) == Position(3, 12345678901)


@pytest.mark.parametrize("cut", range(len(MIXED) + 1))
def test_text_is_the_same_wherever_its_bytes_are_cut(cut: int) -> None:
    cutter = TextCutter()
    first = cutter.feed(MIXED[:cut])
    whole_characters = cut - cutter.pending
    text = first + cutter.feed(MIXED[cut:]) + cutter.feed(b"", final=True)
    assert text == MIXED.decode("utf-8", "replace")
    resumed = first + MIXED[whole_characters:].decode("utf-8", "replace")
    assert resumed == text, "who resumes at `pending` bytes back loses nothing and repeats nothing"


@pytest.mark.parametrize("cut", range(1, 4))
def test_the_end_of_a_character_whose_start_was_left_out_is_left_out(cut: int) -> None:
    assert TextCutter(inside=True).feed("🚀 up".encode()[cut:]) == " up"


def test_bytes_that_are_no_text_are_kept_at_a_leap() -> None:
    assert TextCutter(inside=True).feed(b"\x80" * 10) == "\ufffd" * 10


async def test_the_last_lines(context: Context) -> None:
    log = await StoredLog.make(context)
    for part in (b"one\ntw", b"o\nthr", b"ee\nfour"):
        await log.add(part)
    for lines, expected in (
        (1, b"four"),
        (2, b"three\nfour"),
        (4, b"one\ntwo\nthree\nfour"),
        (99, b"one\ntwo\nthree\nfour"),
    ):
        at, data = await tail(*log.doors, lines)
        assert data == expected
        assert at == Position(0, len(b"one\ntwo\nthree\nfour") - len(expected))
    assert await tail(*log.doors, 0) == (Position(0, 18), b"")


async def test_the_last_lines_of_the_newest_generation_after_a_gap(context: Context) -> None:
    log = await StoredLog.make(context)
    await log.add(b"old\n")
    await log.add(b"first\n", generation=1)
    await log.add(b"rest\nlast\n", generation=1, start=500)
    assert await tail(*log.doors, 10) == (Position(1, 500), b"rest\nlast\n")


async def test_the_last_lines_of_a_huge_line_are_bounded(context: Context) -> None:
    log = await StoredLog.make(context)
    for _ in range(3):
        await log.add(b"x" * (1 << 20))
    at, data = await tail(*log.doors, 5)
    assert (at, len(data)) == (Position(0, (3 << 20) - MOST), MOST)


async def test_blobs_are_kept_replaced_and_removed(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "blobs")
    await blobs.put("a/b", b"x" * 10_000)
    await blobs.put("a/b", b"y")
    assert await blobs.get("a/b") == b"y"
    assert [p.name for p in (tmp_path / "blobs" / "a").iterdir()] == ["b"], "no half file stays"
    await blobs.delete("a/b")
    await blobs.delete("a/b")
    with pytest.raises(FileNotFoundError):
        await blobs.get("a/b")


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../outside"])
async def test_a_blob_stays_in_its_directory(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="leaves"):
        await DirectoryBlobs(tmp_path / "blobs").put(key, b"x")
