"""A UNICORE server that is killed with -9 and started again, at every step of a run: the code runs once, or not at all
and then somebody says so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from backends.backend import Backend
from backends.contract import Prints, WaitsFor
from backends.errors import SiteUnavailable, SubmitUncertain
from backends.reasons import Reason
from backends.spec import DirectoryGone, EvidenceSource, JobRef, Phase, Result, Revoked
from tests.backends.unicore.proxy import Proxy, proxied
from tests.contract.test_unicore import UnicoreCase
from tests.site_fixtures import UnicoreSite

pytestmark = pytest.mark.unicore


@pytest.fixture
async def proxy(unicore_to_kill: UnicoreSite) -> AsyncIterator[Proxy]:
    async with proxied(unicore_to_kill) as between:
        yield between


@pytest.fixture
def killed(unicore_to_kill: UnicoreSite) -> Callable[[], None]:
    def kill() -> None:
        unicore_to_kill.kill()
        unicore_to_kill.up()

    return kill


@pytest.mark.parametrize(
    ("method", "ending"), [("POST", "/jobs"), ("PUT", "/env"), ("PUT", ".tar.gz"), ("PUT", "/ticket")]
)
async def test_killed_while_it_is_prepared(
    case: UnicoreCase, proxy: Proxy, killed: Callable[[], None], method: str, ending: str
) -> None:
    spec = case.spec()
    proxy.fault(method, ending, after=killed, lose_reply=True)
    async with case.open() as backend:
        handle = None
        while handle is None:
            with suppress(SiteUnavailable):
                handle = await case.prepared(backend, spec)
        ref = await backend.start(handle)
        status = await case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert status.outcome.result is Result.FINISHED
        assert await case.starts(backend, handle) == 1


async def test_killed_between_prepare_and_start(case: UnicoreCase, killed: Callable[[], None]) -> None:
    """Some servers forget the job: then nobody can run it, which the login node makes sure of."""
    async with case.open() as backend:
        handle = await case.prepared(backend, case.spec())
        await asyncio.to_thread(killed)
        try:
            ref = await backend.start(handle)
        except SubmitUncertain:
            seized = await seize(case, backend, JobRef("", handle))
            assert isinstance(seized, Revoked)
            assert (case.directory(handle) / "fence.revoked").exists()
        else:
            assert (await case.until(backend, ref, Phase.ENDED)).outcome is not None
            assert began(case, ref) == 1


@pytest.mark.parametrize("lose_reply", [False, True], ids=["answered", "not-answered"])
async def test_killed_as_it_starts(
    case: UnicoreCase, proxy: Proxy, killed: Callable[[], None], lose_reply: bool
) -> None:
    """A start that the server forgot is repeated by the sweep; one whose answer was lost is decided by the fence."""
    async with case.open() as backend:
        handle = await case.prepared(backend, case.spec())
        proxy.fault("POST", "/actions/start", after=killed, lose_reply=lose_reply)
        with suppress(SubmitUncertain):
            await backend.start(handle)
        ref = JobRef(handle.location.rpartition("/")[2], handle)
        if lose_reply:
            seized = await seize(case, backend, ref)
        else:
            status = await case.until(backend, ref, Phase.ENDED, Phase.MISSING)
            seized = ref if status.phase is Phase.ENDED else await seize(case, backend, ref)
        assert not isinstance(seized, DirectoryGone)
        if isinstance(seized, Revoked):
            assert (case.directory(handle) / "fence.revoked").exists()
            with suppress(SubmitUncertain):
                await backend.start(handle)
        await case.until(backend, ref, Phase.ENDED, Phase.MISSING)
        assert began(case, ref) == isinstance(seized, JobRef)


def began(case: UnicoreCase, ref: JobRef) -> int:
    """How often the code of the run began, by the disk: the server may have forgotten the job."""
    starts = case.directory(ref.handle) / "outputs" / "starts"
    return starts.read_text().count("started") if starts.exists() else 0


async def seize(case: UnicoreCase, backend: Backend, ref: JobRef) -> Revoked | JobRef | DirectoryGone:
    """As the gateway does: again and again while the site cannot say."""
    async with asyncio.timeout(case.patience):
        while True:
            with suppress(SiteUnavailable):
                return await backend.revoke(ref.handle)
            await asyncio.sleep(0.2)


async def test_killed_while_it_runs_is_not_finished_before_the_job_says_so(
    case: UnicoreCase, killed: Callable[[], None]
) -> None:
    """The server says SUCCESSFUL without a code, or that it did not start; the job itself goes on, and its own file
    counts when it comes."""
    async with case.open() as backend:
        ref = await case.started(backend, Prints("one\n"), WaitsFor("go"))
        await case.running(backend, ref)
        await case.until(backend, ref, Phase.RUNNING)
        await asyncio.to_thread(killed)
        for _ in range(10):
            early = (await backend.poll([ref]))[ref]
            if early.phase is not Phase.RUNNING:
                assert early.outcome is not None
                assert (early.outcome.result, early.outcome.reason) == (Result.FAILED, Reason.LOST)
                assert (early.site_state, early.outcome.evidence) == ("SUCCESSFUL", EvidenceSource.FINAL_STATE)
            await asyncio.sleep(0.2)
        await case.release(ref.handle, "go")
        late = early
        async with asyncio.timeout(case.patience):
            while late.outcome == early.outcome:
                await asyncio.sleep(0.1)
                late = (await backend.poll([ref]))[ref]
        assert late.outcome is not None
        assert (late.outcome.result, late.outcome.evidence) == (Result.FINISHED, EvidenceSource.EXIT_FILE)
        assert late.log_size == len("one\n")


async def test_away_is_no_end(case: UnicoreCase, unicore_to_kill: UnicoreSite) -> None:
    async with case.open() as backend:
        ref = await case.started(backend, WaitsFor("go"))
        await case.running(backend, ref)
        await asyncio.to_thread(unicore_to_kill.kill)
        try:
            for asked in (
                backend.poll([ref]),
                backend.revoke(ref.handle),
                backend.cancel(ref),
                backend.find("mantik-x"),
            ):
                with pytest.raises(SiteUnavailable):
                    await asked
        finally:
            await asyncio.to_thread(unicore_to_kill.up)
        await case.release(ref.handle, "go")
        assert await case.starts(backend, ref.handle) == 1


async def test_submission_switched_off_is_not_this_run_s_fault(tmp_path: Path, unicore_to_kill: UnicoreSite) -> None:
    case = UnicoreCase(tmp_path, unicore_to_kill)
    spec = case.spec()
    async with case.open() as backend:
        with unicore_to_kill.submission_off("Maintenance until noon"):
            with pytest.raises(SiteUnavailable, match="Maintenance until noon"):
                await case.prepared(backend, spec)
            assert any("Maintenance until noon" in note for note in (await backend.check()).notes)
        ref = await backend.start(await case.prepared(backend, spec))
        assert (await case.until(backend, ref, Phase.ENDED)).outcome is not None
