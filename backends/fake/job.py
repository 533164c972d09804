"""A job of the fake site: a coroutine with files, environment and a log."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backends.spec import JobRef, Outcome, Phase

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = itertools.count(1)


class Killed(Exception):
    """The job ended by a signal."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"signal {signal}")
        self.signal = signal


@dataclass
class FakeFiles:
    """A tree of files by relative path; a link is a path whose target lies elsewhere."""

    contents: dict[str, bytearray] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    """As inode numbers: a file that is written anew is another one."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, path: str, data: bytes) -> None:
        self.contents[path] = bytearray(data)
        self.identities[path] = f"file-{next(_numbers)}"
        self._tell()

    def append(self, path: str, data: bytes) -> None:
        if path not in self.contents:
            self.write(path, b"")
        self.contents[path].extend(data)
        self._tell()

    async def wait_for(self, path: str) -> None:
        while path not in self.contents:
            await self.changed.wait()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass
class FakeAttempt:
    """One attempt's directory. `run` is shared by all attempts of a run."""

    location: str
    run: FakeFiles
    name: str
    script: bytes = b""
    environment: Mapping[str, str] | None = None
    """None once `env` was removed."""
    laid: bool = False
    ticket: bool = False
    fences: list[str] = field(default_factory=list)
    before: str | None = None
    """The error of the login-node commands, `` when they went well, None before they ran."""
    after: str | None = None
    after_commands: tuple[str, ...] = ()
    job: "FakeJob | None" = None
    serial: asyncio.Lock = field(default_factory=asyncio.Lock)

    def rename_ticket(self, fence: str) -> None:
        """As `mv -T ticket fence.<name>`: of several exactly one has an effect."""
        if self.ticket:
            self.ticket = False
            self.fences.append(fence)


@dataclass
class FakeJob:
    """One copy of a job script. Its program may write files, log, wait, return an exit code or raise Killed."""

    ref: JobRef
    attempt: FakeAttempt
    phase: Phase = Phase.QUEUED
    outcome: Outcome | None = None
    task: "asyncio.Task[None] | None" = None
    account: str = ""
    restarts: int = 0
    pending_reason: str = ""
    state: str = "PENDING"

    @property
    def files(self) -> FakeFiles:
        """Of the run: `outputs/...`, `code/...`."""
        return self.attempt.run

    @property
    def environment(self) -> Mapping[str, str]:
        return self.attempt.environment or {}

    def log(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.attempt.run.append(f"{self.attempt.name}/mantik.log", data)


Program = Callable[[FakeJob], Awaitable[int]]
"""What a command does; returns the exit code."""
