"""Logs that are large, never end a line, or are no text."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.whole.faults.own_site import OwnSite
from tests.whole.gateway_process import wait_for
from tests.whole.workshop import Workshop

pytestmark = pytest.mark.slurm
BIG = 200_000_000
LINE = b"0123456789012345678901234567890123456789012345678\n"
FIRST = 64 << 10


class Follower(threading.Thread):
    """Reads the live log to its end."""

    def __init__(self, faults: Workshop, run_id: str) -> None:
        super().__init__(daemon=True)
        self.faults = faults
        self.run_id = run_id
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.start()

    def run(self) -> None:
        http, path = self.faults.gateway.http, self.faults.path("runs", self.run_id, "logs")
        with http.stream("GET", path, headers={"Accept": "text/event-stream"}, timeout=120) as answer:
            name = ""
            for line in answer.iter_lines():
                key, _, value = line.partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    self.told.append((name, json.loads(value)))

    def text(self) -> str:
        self.join(120)
        assert self.told[-1][0] == "end", self.faults.story(self.run_id)
        return "".join(data["text"] for name, data in self.told if name == "log")


def test_two_hundred_megabytes(centre: OwnSite, faults: Workshop) -> None:
    assert faults.gateway.process is not None
    status = Path(f"/proc/{faults.gateway.process.pid}/status")
    before = resident(status)
    run_id = centre.submit(entryPoint="big")
    followers = [Follower(faults, run_id) for _ in range(3)]
    run = faults.ended(run_id, seconds=120)
    assert run["state"] == "FINISHED", faults.story(run_id)
    for follower in followers:
        text = follower.text().encode()
        assert text.startswith(LINE * (FIRST // len(LINE)))
        assert text.endswith(LINE + b"\nthe last line\n")
        skipped = sum(data["skipped"] for name, data in follower.told if name == "gap")
        assert len(text) + skipped == BIG + len("\nthe last line\n")
        assert skipped > 0
    peak = resident(status, "VmHWM")
    assert peak - before < 150_000, f"{before} kB before, {peak} kB at most"
    late = Follower(faults, run_id)
    assert late.text().encode().startswith(LINE)
    assert len(late.text()) < 3 * FIRST
    site = Path(run["workDirectory"], "mantik.log")
    kept = faults.log(run_id)
    assert len(kept) == site.stat().st_size
    # By their hashes: the difference of two hundred megabytes takes pytest for ever to show.
    assert hashlib.sha256(kept).digest() == hashlib.sha256(site.read_bytes()).digest()


def resident(status: Path, field: str = "VmRSS") -> int:
    """In kB."""
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))


def test_line_without_end(centre: OwnSite, faults: Workshop) -> None:
    """What stands there is shown while the job still writes on the line."""
    run_id = centre.submit(entryPoint="no_newline")
    follower = Follower(faults, run_id)
    wait_for(lambda: any(name == "log" for name, _ in follower.told), 30, lambda: faults.story(run_id))
    assert faults.run(run_id)["state"] in ("RUNNING", "FINISHED")
    assert follower.text() == "this line never ends"
    assert faults.ended(run_id)["state"] == "FINISHED"
    assert faults.log(run_id) == b"this line never ends"


def test_bytes_that_are_no_text(centre: OwnSite, faults: Workshop) -> None:
    run_id = centre.submit(entryPoint="binary")
    follower = Follower(faults, run_id)
    run = faults.ended(run_id)
    assert run["state"] == "FINISHED", faults.story(run_id)
    there = Path(run["workDirectory"], "mantik.log").read_bytes()
    assert there.startswith(b"a\xff\x00\xc3\x28b")
    assert len(there) > 100_000
    assert faults.log(run_id) == there
    assert b"no newline at the end" in there[-30:]
    assert "\ufffd" in follower.text()
    query = {"offset": 0, "generation": 0, "limit": 6}
    part = faults.gateway.http.get(faults.path("runs", run_id, "logs"), params=query)
    assert part.content == b"a\xff\x00\xc3\x28b"
    assert part.headers["X-Log-Next"] == "6"


def test_odd_ends_of_lines(centre: OwnSite, faults: Workshop) -> None:
    """Characters that many readers take for the end of a line, and the stream's events must not break at."""
    run_id = centre.submit(entryPoint="odd_ends")
    follower = Follower(faults, run_id)
    assert follower.text() == "a\u2028b\u0085c\x0bd\x0ce\x1cf\rg\x7fh"
