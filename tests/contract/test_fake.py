"""The contract over the fake site."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest

from backends.contract import (
    AppendsTo,
    BackendCase,
    Deed,
    Exits,
    GrowsLog,
    Kills,
    Links,
    Prints,
    ShowsVariable,
    WaitsFor,
    WritesArguments,
)
from backends.contract.suite import *  # noqa: F403
from backends.fake import FakeJob, FakeKind, FakeSite, Killed
from backends.spec import Handle, Phase, Site


class FakeCase(BackendCase):
    huge = 200 << 20  # in memory

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.there = FakeSite()
        self.kind = FakeKind(self.there)
        self.site = Site("fake", "a fake site", "fake")

    def config(self, environment: Mapping[str, object]) -> Mapping[str, object]:
        return {"Local": {}, "Environment": environment}

    def command(self, *deeds: Deed) -> str:
        return self.there.program(_program(deeds))

    async def release(self, handle: Handle, name: str) -> None:
        self.there.attempts[handle.location].run.write(f"outputs/{name}", b"")

    async def copies(self, handle: Handle, count: int) -> Sequence[int]:
        jobs = [self.there.submit(handle) for _ in range(count)]
        await asyncio.gather(*(job.task for job in jobs if job.task))
        assert all(job.phase is Phase.ENDED for job in jobs)
        return [job.outcome.exit_code or 0 for job in jobs if job.outcome]


def _program(deeds: Sequence[Deed]) -> Callable[[FakeJob], Awaitable[int]]:
    async def run(job: FakeJob) -> int:
        await asyncio.sleep(0)
        for deed in deeds:
            if isinstance(deed, Exits):
                return deed.code
            await _do(deed, job)
        return 0

    return run


async def _do(deed: Deed, job: FakeJob) -> None:
    match deed:
        case AppendsTo(name):
            job.files.append(f"outputs/{name}", b"started\n")
        case Kills(signal):
            raise Killed(signal)
        case Prints(text):
            job.log(text)
        case WaitsFor(name):
            await job.files.wait_for(f"outputs/{name}")
        case ShowsVariable(variable, name):
            job.files.write(f"outputs/{name}", job.environment[variable].encode())
        case WritesArguments(arguments, name):
            job.files.write(f"outputs/{name}", "".join(f"{a}\0" for a in arguments).encode())
        case Links(name, target):
            job.files.links[f"outputs/{name}"] = target
        case GrowsLog(size, last):
            job.log(bytes(size) + last.encode())


@pytest.fixture
async def backend_case(tmp_path: Path) -> FakeCase:
    return FakeCase(tmp_path)
