"""`HostBackend` over this machine with a scheduler of stand-ins: what a submit may be followed by, what is staged."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from backends.backend import DUPLICATE_EXIT_CODE
from backends.errors import InvalidJob, SiteUnavailable, SubmitUncertain
from backends.host.backend import HostBackend
from backends.host.local_shell import LocalShell
from backends.host.scheduler import Command, Record
from backends.reasons import Reason
from backends.spec import FileArea, Handle, JobRef, JobSpec, Phase, Revoked, Site
from tests.contract.test_local import LocalCase


@dataclass(frozen=True)
class Says:
    """A command whose answer the test gives."""

    argv: tuple[str, ...] = ("sbatch", "job.sh")

    def parse(self, code: int, stdout: str, stderr: str) -> str:
        if code == 0:
            return stdout.strip()
        raise {1: InvalidJob, 2: SiteUnavailable}.get(code, SubmitUncertain)(stderr.strip())


@dataclass(frozen=True)
class Jobs:
    argv: tuple[str, ...] = ("squeue", "all")

    def parse(self, code: int, stdout: str, stderr: str) -> Mapping[str, Record]:
        return {line: Record(line, Phase.RUNNING, "RUNNING") for line in stdout.split()}


@dataclass(frozen=True)
class History:
    argv: tuple[str, ...] = ("sacct", "all")

    def parse(self, code: int, stdout: str, stderr: str) -> Mapping[str, Record]:
        if code:
            raise SiteUnavailable(stderr)
        rows = (line.split() for line in stdout.splitlines())
        return {job: Record(job, Phase.ENDED, state, reason=Reason(reason)) for job, state, reason in rows}


@dataclass(frozen=True)
class Names:
    argv: tuple[str, ...] = ("squeue", "names")

    def parse(self, code: int, stdout: str, stderr: str) -> Sequence[str]:
        return stdout.split()


class Dialect:
    def submit(self, tag: str) -> Command[str]:
        return Says()

    def queue(self, job_ids: Sequence[str]) -> Command[Mapping[str, Record]]:
        return Jobs()

    def history(self, job_ids: Sequence[str]) -> Command[Mapping[str, Record]]:
        return History()

    def find(self, tag: str) -> Sequence[Command[Sequence[str]]]:
        return (Names(),)

    def cancel(self, job_id: str) -> Command[None]:
        raise NotImplementedError


class Host:
    """A host whose Slurm is three scripts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.case = LocalCase(folder)
        self.bin = folder / "bin"
        self.bin.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        for name in ("sbatch", "squeue", "sacct"):
            self.program(name, "true")
        self.site = Site("s", "host", "slurm", work_directory=str(folder / "work"))
        self.backend = self.fresh()

    def fresh(self) -> HostBackend:
        """A backend that remembers nothing."""
        return HostBackend(LocalShell(), Dialect(), self.site)

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    async def prepared(self) -> Handle:
        return await self.case.prepared(self.backend, self.case.spec())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


async def test_a_submit_that_surely_failed_may_be_followed_by_one_more(host: Host) -> None:
    handle = await host.prepared()
    host.program("sbatch", "echo call >>calls; echo no contact >&2; exit 2")
    with pytest.raises(SiteUnavailable, match="no contact"):
        await host.backend.start(handle)
    host.program("sbatch", "echo call >>calls; echo 42")
    refs = await asyncio.gather(*(host.backend.start(handle) for _ in range(6)))
    assert {ref.id for ref in refs} == {"42"}
    assert Path(handle.location, "calls").read_text() == "call\n" * 2


async def test_a_refusal_is_remembered(host: Host) -> None:
    handle = await host.prepared()
    host.program("sbatch", "echo call >>calls; echo no budget >&2; exit 1")
    for _ in range(3):
        with pytest.raises(InvalidJob, match="no budget"):
            await host.backend.start(handle)
    assert Path(handle.location, "calls").read_text() == "call\n"


async def test_a_submit_that_was_cut_is_never_repeated(host: Host) -> None:
    """The gateway and its shell were killed between `mkdir` and the answer."""
    handle = await host.prepared()
    cut = Path(handle.location, "submitted", "1")
    cut.write_text(f"{' ' * 16}42\n")
    os.utime(cut, (0, 0))
    host.program("sbatch", "echo call >>calls; echo 42")
    with pytest.raises(SubmitUncertain):
        await host.backend.start(handle)
    host.program("squeue", "echo 77")
    assert await host.backend.start(handle) == JobRef("77", handle)
    assert not Path(handle.location, "calls").exists()
    assert isinstance(await host.backend.revoke(handle), Revoked)


async def test_without_accounting_nothing_is_said_of_a_job_that_left_no_trace(host: Host) -> None:
    handle = await host.prepared()
    ref = JobRef("7", handle)
    host.program("sacct", "echo down >&2; exit 1")
    with pytest.raises(SiteUnavailable):
        await host.backend.poll([ref])
    Path(handle.location, "exit").write_text("job=7 restarts=0 code=0 signal=- started=1 ended=2 reason=- end\n")
    assert (await host.backend.poll([ref]))[ref].phase is Phase.ENDED


async def test_accounting_that_lags_is_awaited_for_the_cause_of_a_signal(host: Host) -> None:
    handle = await host.prepared()
    ref = JobRef("7", handle)
    Path(handle.location, "exit").write_text("job=7 restarts=0 code=143 signal=15 started=1 ended=2 reason=- end\n")
    assert (await host.backend.poll([ref]))[ref].phase is Phase.RUNNING
    host.program("sacct", "echo 7 TIMEOUT TIME_LIMIT")
    outcome = (await host.backend.poll([ref]))[ref].outcome
    assert outcome is not None
    assert outcome.reason is Reason.TIME_LIMIT


async def test_a_damaged_or_cut_upload_is_made_good(host: Host, tmp_path: Path) -> None:
    bundle = host.case.bundle({"data": os.urandom(100_000)})
    part = tmp_path / "work" / "cache" / f"{bundle.sha256}.part"
    part.parent.mkdir(parents=True)
    for there in (bundle.path.read_bytes()[:5000], b"x" * 5000, b"y" * (bundle.size + 9)):
        part.write_bytes(there)
        await host.fresh().stage(bundle)
        staged = part.with_suffix(".tar.gz")
        assert staged.read_bytes() == bundle.path.read_bytes()
        assert not part.exists()
        staged.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB and 40 inodes."""
    path = tmp_path / "small"
    path.mkdir()
    options = "mode=700,size=64k,nr_inodes=40"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("only root can mount a small file system")
    yield path
    subprocess.run(["umount", str(path)], check=True)


async def _full_at(host: Host, disk: Path, spec: JobSpec) -> InvalidJob:
    host.backend = HostBackend(LocalShell(), Dialect(), Site("s", "host", "slurm", work_directory=str(disk)))
    with pytest.raises(InvalidJob) as full:
        await host.case.prepared(host.backend, spec)
    return full.value


@pytest.mark.parametrize("filled", [{"big": 200_000}, {f"f{k}": 1 for k in range(60)}], ids=["bytes", "inodes"])
async def test_a_full_disk_is_said_so(host: Host, small_disk: Path, filled: Mapping[str, int]) -> None:
    bundle = host.case.bundle({name: os.urandom(size) for name, size in filled.items()})
    error = await _full_at(host, small_disk, replace(host.case.spec(), code=bundle))
    assert error.reason is Reason.DISK_FULL
    assert "full" in error.message


async def test_on_a_disk_that_filled_up_the_fence_still_works(host: Host, small_disk: Path) -> None:
    site = Site("s", "host", "slurm", work_directory=str(small_disk))
    host.backend = HostBackend(LocalShell(), Dialect(), site)
    handle, other = await host.prepared(), await host.prepared()
    with pytest.raises(OSError, match="space"):
        Path(small_disk, "rest").write_bytes(bytes(1 << 20))
    with pytest.raises(InvalidJob) as full:
        await host.backend.check()
    assert full.value.reason is Reason.DISK_FULL
    host.program("sbatch", "echo 42")
    with pytest.raises((InvalidJob, SubmitUncertain)):
        await host.backend.start(handle)
    assert isinstance(await host.backend.revoke(handle), Revoked)
    # It passes the fence, and then cannot write its mark.
    assert list(await host.case.copies(other, 2)).count(DUPLICATE_EXIT_CODE) == 1


async def until(check: Callable[[], bool]) -> None:
    for _ in range(200):
        if check():
            return
        await asyncio.sleep(0.05)
    pytest.fail("not in 10 s")


@pytest.mark.parametrize("area", ["attempt", "run"])
async def test_commands_that_still_run_on_the_login_node_end_with_their_directory(
    tmp_path: Path, area: FileArea
) -> None:
    case = LocalCase(tmp_path)
    pid = tmp_path / "pid"
    command = f"echo $BASHPID >{pid}.part; mv {pid}.part {pid}; sleep 300"
    spec = case.spec(environment={"PreRunCommandOnLoginNode": [command]})
    async with case.open() as backend:
        waiting = asyncio.create_task(case.prepared(backend, spec))
        await until(pid.exists)
        waiting.cancel()
        await backend.remove(Handle(spec.tag, ""), area)
        process = Path("/proc", pid.read_text().strip())
        await until(lambda: not process.exists())


async def test_a_gateway_that_wakes_up_late_lays_no_ticket_in_a_removed_attempt(tmp_path: Path) -> None:
    case = LocalCase(tmp_path)
    spec = case.spec()
    async with case.open() as backend:
        handle = await case.prepared(backend, spec)
        await backend.remove(handle, "attempt")
        assert {path.name for path in Path(handle.location).iterdir()} == {"laid", "fence.revoked"}
        assert await case.prepared(backend, spec) == handle
        with pytest.raises(SubmitUncertain, match="can never run"):
            await backend.start(handle)
