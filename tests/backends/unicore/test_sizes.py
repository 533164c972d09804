"""What is large on a UNICORE site: thousands of files in a job's directory, and a log of a gigabyte."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from backends.contract import Prints, WaitsFor
from backends.spec import Phase
from tests.backends.unicore.proxy import Proxy, proxied
from tests.contract.test_unicore import UnicoreCase
from tests.site_fixtures import UnicoreSite

pytestmark = pytest.mark.unicore
GIGABYTE = 1 << 30
SCREEN = 64 << 10
LOG = '"$MANTIK_WORKING_DIRECTORY"/../mantik.log'


@pytest.fixture
async def proxy(unicore_site: UnicoreSite) -> AsyncIterator[Proxy]:
    async with proxied(unicore_site) as between:
        yield between


@dataclass(frozen=True, slots=True)
class MakesFiles:
    """So many empty files, beside the job's script."""

    count: int

    def shell(self) -> str:
        return f'(cd "$MANTIK_WORKING_DIRECTORY"/.. && seq -f file-%g {self.count} | xargs touch)'


@dataclass(frozen=True, slots=True)
class Grows:
    """The log by a hole, as long as it is now then."""

    size: int

    def shell(self) -> str:
        return f"truncate -s {self.size} {LOG}"


async def test_ten_thousand_files_are_listed_when_asked_for_and_not_at_each_sweep(
    case: UnicoreCase, proxy: Proxy
) -> None:
    async with case.open() as backend:
        ref = await case.started(backend, MakesFiles(10_000), Prints("made\n"), WaitsFor("go"))
        await case.running(backend, ref)
        while (await case.until(backend, ref, Phase.RUNNING)).log_size != len("made\n"):
            continue
        made = await backend.list(ref.handle)
        assert {file.path for file in made} >= {f"file-{n}" for n in range(1, 10_001)}
        await backend.poll([ref])
        before = proxy.told
        for _ in range(8):
            status = (await backend.poll([ref]))[ref]
            assert (status.phase, status.log_size, status.fence) == (Phase.RUNNING, len("made\n"), ref.id)
        assert proxy.told - before < 100_000
        await case.release(ref.handle, "go")
        ended = await case.until(backend, ref, Phase.ENDED)
        assert ended.outcome is not None
        assert ended.outcome.exit_code == 0
        await backend.remove(ref.handle, "attempt")
    async with asyncio.timeout(case.patience):
        while True:
            if not case.directory(ref.handle).exists():
                break
            await asyncio.sleep(0.1)


async def test_of_a_log_of_a_gigabyte_only_what_is_shown_is_brought(case: UnicoreCase, proxy: Proxy) -> None:
    """The first screen and the last one cost as much as of a short log; what is written next is followed."""
    async with case.open() as backend:
        grows = (Prints("first\n"), Grows(GIGABYTE), Prints("last\n"), WaitsFor("more"), Prints("more\n"))
        ref = await case.started(backend, *grows, WaitsFor("go"))
        await case.running(backend, ref)
        while (await case.until(backend, ref, Phase.RUNNING)).log_size != GIGABYTE + len("last\n"):
            continue
        requests, before = len(proxy.seen), proxy.told
        assert (await backend.read(ref.handle, "mantik.log", 0, SCREEN)).startswith(b"first\n\0")
        size = GIGABYTE + len("last\n")
        assert (await backend.read(ref.handle, "mantik.log", size - SCREEN, SCREEN)).endswith(b"\0last\n")
        assert len(proxy.seen) - requests == 4
        await case.release(ref.handle, "more")
        while (await case.until(backend, ref, Phase.RUNNING)).log_size == size:
            continue
        assert await backend.read(ref.handle, "mantik.log", size, SCREEN) == b"more\n"
        await case.release(ref.handle, "go")
        await case.until(backend, ref, Phase.ENDED)
        assert proxy.told - before < 2 * SCREEN + 200_000
        await backend.remove(ref.handle, "attempt")
