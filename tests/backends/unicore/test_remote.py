"""UNICORE in remote mode, in front of Slurm: the contract, and what was recorded there, on a fake that behaves so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from backends.backend import CredentialSource
from backends.contract import HostCase, Prints, WaitsFor
from backends.contract.suite import *  # noqa: F403
from backends.errors import SiteUnavailable
from backends.reasons import Reason
from backends.spec import Credential, Handle, Phase, Result, Site
from backends.unicore import kind, transport, watch
from backends.unicore.answers import ReplyLost
from backends.unicore.files import Directory
from tests.backends.slurm.ssh.credentials import Credentials
from tests.backends.unicore import remote_fake as remote_fake_module
from tests.backends.unicore.certificate import self_signed
from tests.backends.unicore.listener import listener
from tests.backends.unicore.remote_fake import BEYOND, Job, RemoteFake, remote_fake


class RemoteCase(HostCase):
    kind = kind
    patience = 60.0
    account = "proj1"

    def __init__(self, folder: Path, there: RemoteFake) -> None:
        super().__init__(folder)
        self.there = there
        work = str(folder / "work")
        self.site = Site("remote", "remote", "unicore", url=there.url, work_directory=work, options={"tlsCa": there.ca})

    def config(self, environment: Mapping[str, object]) -> Mapping[str, object]:
        resources = {"Queue": "batch", "Runtime": "10m"}
        return {"UnicoreApiUrl": self.there.url, "Resources": resources, "Environment": environment}

    def credentials(self) -> CredentialSource:
        return Credentials(Credential(1, "password", self.there.user, self.there.password))

    def job(self, handle: Handle) -> Job:
        return self.there.jobs[handle.location.rpartition("/")[2]]

    async def release(self, handle: Handle, name: str) -> None:
        outputs = self.job(handle).directory / "outputs"
        await seen(outputs.is_dir)
        outputs.joinpath(name).touch()

    async def copies(self, handle: Handle, count: int) -> Sequence[int]:
        directory = self.job(handle).directory
        jobs = [
            await asyncio.create_subprocess_exec("bash", "job.sh", cwd=directory, env=self.surroundings())
            for _ in range(count)
        ]
        return [await job.wait() for job in jobs]


async def seen(happened: Callable[[], bool]) -> None:
    """Wait until it is so, for as long as the case has patience."""
    async with asyncio.timeout(RemoteCase.patience):
        while True:
            if happened():
                return
            await asyncio.sleep(0.05)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def backend_case(tmp_path: Path, certificate: tuple[Path, Path]) -> AsyncIterator[RemoteCase]:
    async with remote_fake(tmp_path / "remote", *certificate) as there:
        yield RemoteCase(tmp_path, there)
        assert there.hung == 0, "a range beyond the end of a file was asked for"
        assert there.strayed == 0, "a file was sent before the directory was there"


async def test_a_job_that_the_site_submits_twice_runs_once(backend_case: RemoteCase) -> None:
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec(WaitsFor("go")))
        backend_case.there.double = True
        ref = await backend.start(handle)
        await backend_case.running(backend, ref)
        assert (await backend_case.until(backend, ref, Phase.RUNNING)).fence == ref.id
        await backend_case.release(handle, "go")
        status = await backend_case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert status.outcome.result is Result.FINISHED
        assert await backend_case.starts(backend, handle) == 1
        assert len(backend_case.job(handle).copies) == 2


async def test_a_duplicate_that_ends_first_does_not_end_the_run(backend_case: RemoteCase) -> None:
    """The server knows of the second copy only, which ends at once: the first is followed by its files."""
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec(WaitsFor("go")))
        backend_case.there.double = True
        ref = await backend.start(handle)
        await backend_case.running(backend, ref)
        await seen(lambda: backend_case.job(handle).status == "FAILED")
        for _ in range(4):
            status = (await backend.poll([ref]))[ref]
            assert status.phase is Phase.RUNNING, status
        await backend_case.release(handle, "go")
        status = await backend_case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert (status.outcome.result, status.outcome.exit_code) == (Result.FINISHED, 0)


async def test_a_slow_server_is_not_asked_in_vain_for_each_new_job(
    backend_case: RemoteCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_fake_module, "DIRECTORY_AFTER", 1.0)
    looks = []
    async with backend_case.open() as backend:
        for _ in range(2):
            handle = await backend_case.prepared(backend, backend_case.spec())
            looks.append(backend_case.there.asked.count(f"GET /jobs/{backend_case.job(handle).name}"))
    assert looks[0] >= 3
    assert looks[1] <= 2


async def test_a_cookie_of_the_site_is_sent_again(backend_case: RemoteCase) -> None:
    """As one of a load balancer, which keeps a session on one server."""
    backend_case.there.cookie = "server=b"
    async with backend_case.open() as backend:
        await backend_case.prepared(backend, backend_case.spec())
    first, *others = backend_case.there.cookies
    assert first == ""
    assert others
    assert set(others) == {"server=b"}


@pytest.mark.parametrize(
    ("state", "reason", "result"),
    [
        ("TIMEOUT", Reason.TIME_LIMIT, Result.FAILED),
        ("OUT_OF_MEMORY", Reason.OUT_OF_MEMORY, Result.FAILED),
        ("NODE_FAIL", Reason.NODE_FAILURE, Result.FAILED),
        ("CANCELLED", Reason.CANCELLED_ON_SITE, Result.CANCELLED),
    ],
)
async def test_an_end_in_slurm_is_known_while_the_server_is_silent(
    backend_case: RemoteCase, monkeypatch: pytest.MonkeyPatch, state: str, reason: Reason, result: Result
) -> None:
    monkeypatch.setattr(watch, "SILENT", timedelta(seconds=0.2))
    monkeypatch.setattr(watch, "DETAILS_EVERY", timedelta(seconds=0.2))
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, Prints("begun\n"), WaitsFor("never"))
        await backend_case.running(backend, ref)
        await backend_case.until(backend, ref, Phase.RUNNING)
        job = backend_case.job(ref.handle)
        backend_case.there.slurm_ends(job, state)
        status = await backend_case.until(backend, ref, Phase.ENDED)
        assert job.status == "RUNNING"  # for the server
        assert status.outcome is not None
        assert (status.outcome.result, status.outcome.reason) == (result, reason)


async def test_an_end_without_a_word_takes_its_cause_from_slurm(backend_case: RemoteCase) -> None:
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("never"))
        await backend_case.running(backend, ref)
        job = backend_case.job(ref.handle)
        backend_case.there.slurm_ends(job, "OUT_OF_MEMORY")
        await seen(lambda: job.status == "FAILED")
        outcome = (await backend_case.until(backend, ref, Phase.ENDED)).outcome
        assert outcome is not None
        assert outcome.reason is Reason.OUT_OF_MEMORY
        assert BEYOND in outcome.text


async def test_a_log_that_shrank_between_two_looks_is_not_asked_for_beyond_its_end(backend_case: RemoteCase) -> None:
    async with backend_case.open() as backend:
        status = await backend_case.ended(backend, Prints("0123456789"))
        log = backend_case.job(status.ref.handle).directory / "mantik.log"
        log.write_bytes(b"01")
        assert await backend.read(status.ref.handle, "mantik.log", 5, 100) == b""
        assert await backend.read(status.ref.handle, "mantik.log", 1, 100) == b"1"


def _pace(monkeypatch: pytest.MonkeyPatch, pause: timedelta) -> None:
    """Between two questions about any job."""
    for begun in (False, True):
        monkeypatch.setitem(watch.PACES, begun, (1e9, pause))


@pytest.mark.parametrize("begun", [False, True])
async def test_a_job_that_shows_nothing_new_is_asked_about_ever_more_seldom(
    backend_case: RemoteCase, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    backend_case.there.full = not begun
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("go"))
        shown = await backend_case.until(backend, ref, Phase.RUNNING if begun else Phase.QUEUED)
        _pace(monkeypatch, timedelta(seconds=1))
        await backend.poll([ref])
        asked = len(backend_case.there.asked)
        for _ in range(3):
            assert (await backend.poll([ref]))[ref].phase is shown.phase
        assert len(backend_case.there.asked) == asked
        await asyncio.sleep(1)
        await backend.poll([ref])
        assert len(backend_case.there.asked) > asked


async def test_what_the_server_tells_makes_the_next_look_one_at_the_status(backend_case: RemoteCase) -> None:
    """By the elliptic key of this server; a message of an hour ago is no news."""
    there = backend_case.there
    async with listener() as told, backend_case.open() as backend:
        spec = replace(backend_case.spec(WaitsFor("go")), notify=told.url)
        ref = await backend.start(await backend_case.prepared(backend, spec))
        began = (await told.until(1))[0]
        await backend_case.until(backend, ref, Phase.RUNNING)
        stale = f"Bearer {there.token(seconds=-3600)}"
        assert not await backend.told(ref, stale, began.body)  # type: ignore[attr-defined]
        for _ in range(3):
            assert await backend.told(ref, began.headers["authorization"], began.body)  # type: ignore[attr-defined]
            del there.asked[:]
            assert (await backend.poll([ref]))[ref].phase is Phase.RUNNING
            assert there.asked == [f"GET /jobs/{ref.id}"]
        await backend_case.release(ref.handle, "go")
        ended = (await told.until(2))[1]
        assert await backend.told(ref, ended.headers["authorization"], ended.body)  # type: ignore[attr-defined]
        assert (await backend.poll([ref]))[ref].phase is Phase.ENDED


async def test_a_site_that_is_away_is_away_at_each_sweep(
    backend_case: RemoteCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However seldom its jobs are asked about: what is remembered is no contact."""
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("go"))
        await backend_case.until(backend, ref, Phase.RUNNING)
        backend_case.there.away = True
        _pace(monkeypatch, timedelta())
        with pytest.raises(SiteUnavailable):
            await backend.poll([ref])
        _pace(monkeypatch, timedelta(hours=1))
        for _ in range(3):
            with pytest.raises(SiteUnavailable):
                await backend.poll([ref])
        backend_case.there.away = False
        assert (await backend.poll([ref]))[ref].phase is Phase.RUNNING
        asked = len(backend_case.there.asked)
        await backend.poll([ref])
        assert len(backend_case.there.asked) == asked


async def test_after_a_cancel_the_next_sweep_asks(backend_case: RemoteCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("go"))
        await backend_case.until(backend, ref, Phase.RUNNING)
        _pace(monkeypatch, timedelta(hours=1))
        await backend.poll([ref])
        await backend.cancel(ref)
        assert (await backend.poll([ref]))[ref].phase is Phase.ENDED


async def test_a_silent_job_is_looked_at_between_two_questions_for_its_details(
    backend_case: RemoteCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENT", timedelta(seconds=-10))
    monkeypatch.setattr(watch, "DETAILS_EVERY", timedelta(seconds=-10))
    _pace(monkeypatch, timedelta())
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, Prints("begun\n"), WaitsFor("go"))
        await backend_case.until(backend, ref, Phase.RUNNING)
        del backend_case.there.asked[:]
        for _ in range(6):
            await backend.poll([ref])
        asked = backend_case.there.asked
        details = [question.endswith("/details") for question in asked]
        assert 1 < details.count(True) <= details.count(False)
        assert not any(one and other for one, other in pairwise(details))


async def test_details_that_break_off_hide_no_job(backend_case: RemoteCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SILENT", timedelta(seconds=-10))
    _pace(monkeypatch, timedelta())
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("go"))
        await backend_case.until(backend, ref, Phase.RUNNING)
        backend_case.there.breaks = "/details"
        del backend_case.there.asked[:]
        for _ in range(4):
            assert (await backend.poll([ref]))[ref].phase is Phase.RUNNING
        assert len(backend_case.there.asked) >= 4, "the job itself is asked about as well"
        await backend_case.release(ref.handle, "go")
        assert (await backend_case.until(backend, ref, Phase.ENDED)).outcome is not None


async def test_a_server_that_reads_no_more_does_not_hold_an_upload(
    backend_case: RemoteCase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transport, "REPLY_SECONDS", 0.5)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200 << 20)
    channel = transport.Channel(backend_case.site, backend_case.credentials())
    try:
        await channel.me()
        backend_case.there.deaf = True
        await channel.me()  # on a connection that is read already; the next one comes to nobody
        async with asyncio.timeout(30):
            with pytest.raises(ReplyLost):
                await Directory(channel, "Job1x").write("large", large)
    finally:
        await channel.aclose()
