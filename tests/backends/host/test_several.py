"""Many runs over one `HostBackend`: few commands, each caller its own result, and each attempt submitted once."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backends.errors import BackendError, InvalidJob, SiteUnavailable, SubmitUncertain
from backends.host.backend import HostBackend
from backends.host.local_shell import LocalShell
from backends.host.shell import Completed
from backends.host.together import AT_MOST
from backends.reasons import Reason
from backends.slurm.submission import Sbatch
from backends.spec import Handle, JobRef, JobSpec
from tests.backends.host.test_backend import Dialect, Host, host, small_disk

__all__ = ["host", "small_disk"]
JOB = "echo call >>calls; echo ${PWD: -38:36}"
"""An sbatch whose job has the run's name."""


class Line(LocalShell):
    """Counts commands by their verb; what they answer may be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.verbs: Counter[str] = Counter()
        self.cut: Callable[[str, Completed], Completed] = lambda verb, done: done

    async def run(self, verb: str, *words: str, stdin: bytes = b"", time_limit: float = 60) -> Completed:
        self.verbs[verb] += 1
        return self.cut(verb, await super().run(verb, *words, stdin=stdin, time_limit=time_limit))


@pytest.fixture
def line(host: Host) -> Line:
    line = Line()
    host.backend = HostBackend(line, Dialect(), host.site)
    host.program("sbatch", JOB)
    return line


def calls(handle: Handle) -> int:
    """How often a submit command was issued."""
    path = Path(handle.location, "calls")
    return len(path.read_text().splitlines()) if path.exists() else 0


async def specs(host: Host, count: int) -> list[JobSpec]:
    made = [host.case.spec() for _ in range(count)]
    await host.backend.stage(made[0].code)
    return made


async def prepared(host: Host, count: int) -> list[Handle]:
    return await asyncio.gather(*map(host.backend.prepare, await specs(host, count)))


async def outcomes(*asked: Awaitable[object]) -> list[object]:
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_many_runs_are_few_commands(host: Host, line: Line) -> None:
    wanted = await specs(host, AT_MOST)
    handles = await asyncio.gather(*map(host.backend.prepare, wanted))
    assert [handle.tag for handle in handles] == [spec.tag for spec in wanted]
    refs = await asyncio.gather(*map(host.backend.start, handles))
    assert refs == [JobRef(spec.run_id, handle) for spec, handle in zip(wanted, handles, strict=True)]
    assert (line.verbs["layout"], line.verbs["start"]) == (1, 1)


async def test_one_handle_several_times_in_one_moment_and_by_two_gateways(host: Host, line: Line) -> None:
    wanted = await specs(host, 3)
    one, two = host.backend, host.fresh()
    await two.stage(wanted[0].code)
    laid = await asyncio.gather(*(backend.prepare(spec) for backend in (one, two) for spec in wanted * 2))
    assert laid == laid[:3] * 4
    handles = laid[:3]
    asked = [(one, handles), (two, handles[::-1]), (one, handles), (two, handles)]
    refs = await asyncio.gather(*(backend.start(handle) for backend, these in asked for handle in these))
    assert {ref.id for ref in refs} == {spec.run_id for spec in wanted}
    assert [calls(handle) for handle in handles] == [1, 1, 1]


async def test_a_refusal_is_its_own(host: Host, line: Line) -> None:
    handles = await prepared(host, 5)
    host.program("sbatch", f"[ ! -e refused ] || {{ echo no budget >&2; exit 1; }}; {JOB}")
    Path(handles[2].location, "refused").touch()
    told = await outcomes(*map(host.backend.start, handles))
    assert [isinstance(answer, JobRef) for answer in told] == [True, True, False, True, True]
    assert isinstance(told[2], InvalidJob)
    assert "no budget" in str(told[2])


async def test_files_that_the_disk_has_no_room_for_fail_alone(host: Host, small_disk: Path) -> None:
    host.backend = HostBackend(LocalShell(), Dialect(), replace(host.site, work_directory=str(small_disk)))
    few, big = await specs(host, 2)
    big = replace(big, environment={"BIG": "x" * 100_000})
    laid = await outcomes(host.backend.prepare(few), host.backend.prepare(big))
    assert isinstance(laid[0], Handle)
    assert isinstance(laid[1], InvalidJob)
    assert laid[1].reason is Reason.DISK_FULL


async def test_code_that_the_site_cleared_is_brought_again_for_all(host: Host, line: Line, tmp_path: Path) -> None:
    wanted = await specs(host, 4)
    for staged in (tmp_path / "work" / "cache").iterdir():
        staged.unlink()
    handles = await asyncio.gather(*map(host.backend.prepare, wanted))
    assert all(Path(handle.location).with_name("code").joinpath("MLproject").exists() for handle in handles)
    assert line.verbs["layout"] <= 3, "and not two for each"


@pytest.mark.parametrize("kept", [0, 10, 0.3, 0.5, 0.7, -1])
async def test_an_answer_that_is_cut_can_be_asked_for_again(host: Host, line: Line, kept: float) -> None:
    """Who was answered has the answer; nobody is submitted twice."""

    def cut(verb: str, done: Completed) -> Completed:
        at = int(kept * len(done.stdout)) if isinstance(kept, float) else kept
        return Completed(0, done.stdout[:at], b"") if verb in ("layout", "start") else done

    wanted = await specs(host, 4)
    line.cut = cut
    laid = await outcomes(*map(host.backend.prepare, wanted))
    assert all(isinstance(answer, Handle | SiteUnavailable) for answer in laid)
    assert isinstance(laid[-1], SiteUnavailable)
    line.cut = lambda verb, done: done
    handles = await asyncio.gather(*map(host.backend.prepare, wanted))
    line.cut = cut
    told = await outcomes(*map(host.backend.start, handles))
    assert all(isinstance(answer, JobRef | SiteUnavailable) for answer in told)
    assert any(isinstance(answer, SiteUnavailable) for answer in told)
    line.cut = lambda verb, done: done
    refs = await asyncio.gather(*map(host.backend.start, handles))
    assert [ref.id for ref in refs] == [spec.run_id for spec in wanted]
    assert [calls(handle) for handle in handles] == [1] * 4


async def test_a_connection_that_breaks_is_told_to_all_and_nobody_is_submitted_twice(host: Host, line: Line) -> None:
    handles = await prepared(host, 4)

    def broken(verb: str, done: Completed) -> Completed:
        raise SiteUnavailable("The connection is gone.")

    line.cut = broken
    told = await outcomes(*map(host.backend.start, handles))
    assert all(isinstance(answer, SiteUnavailable) for answer in told)
    line.cut = lambda verb, done: done
    await asyncio.gather(*map(host.backend.start, handles))
    assert [calls(handle) for handle in handles] == [1] * 4


async def test_a_caller_that_is_cancelled_harms_nobody_and_its_job_is_found_again(host: Host, line: Line) -> None:
    handles = await prepared(host, 4)
    go = Path(host.site.work_directory).parent / "go"
    host.program("sbatch", f"until [ -e {go} ]; do sleep 0.02; done; {JOB}")
    tasks = [asyncio.create_task(host.backend.start(handle)) for handle in handles]
    async with asyncio.timeout(20):
        while not Path(handles[0].location, "submitted", "1").exists():  # noqa: ASYNC110 - a file, no event
            await asyncio.sleep(0.02)
    tasks[0].cancel()
    tasks[3].cancel()
    go.touch()
    told = await outcomes(*tasks)
    assert [type(answer) for answer in told] == [asyncio.CancelledError, JobRef, JobRef, asyncio.CancelledError]
    refs = await asyncio.gather(*map(host.backend.start, handles))
    assert refs[1:3] == told[1:3]
    assert [calls(handle) for handle in handles] == [1] * 4


async def test_the_root_is_learned_and_forgotten_when_it_fails(host: Host, line: Line, tmp_path: Path) -> None:
    """The variables of its template are expanded once, and again when the directory is not there any more."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "one")
    for name in ("one", "two"):
        (tmp_path / name).mkdir(mode=0o700)
    host.backend = HostBackend(line, Dialect(), replace(host.site, work_directory=f"{link}/work"))
    (first,) = await prepared(host, 1)
    assert first.location.startswith(f"{tmp_path}/one/work/")
    link.unlink()
    link.symlink_to(tmp_path / "two")
    (tmp_path / "one" / "work").rename(tmp_path / "one" / "away")
    try:
        (second,) = await prepared(host, 1)
    except BackendError:
        (second,) = await prepared(host, 1)
    assert second.location.startswith(f"{tmp_path}/two/work/")


async def test_without_room_for_the_answer_nothing_is_submitted(host: Host, small_disk: Path, tmp_path: Path) -> None:
    host.backend = HostBackend(LocalShell(), Dialect(), replace(host.site, work_directory=str(small_disk)))
    handle = await host.prepared()
    host.program("sbatch", f"echo call >>{tmp_path}/calls; echo 42")
    with pytest.raises(OSError, match="space"):
        Path(small_disk, "rest").write_bytes(bytes(1 << 20))
    told = (await asyncio.gather(host.backend.start(handle), return_exceptions=True))[0]
    assert not (tmp_path / "calls").exists(), f"sbatch was issued; told {told!r}"
    assert isinstance(told, InvalidJob)
    assert told.reason is Reason.DISK_FULL
    Path(small_disk, "rest").unlink()
    assert (await host.backend.start(handle)).id == "42", "nobody has claimed the command"


class Slurms(Dialect):
    def submit(self, tag: str) -> Sbatch:
        return Sbatch(tag)


@pytest.mark.parametrize("before", range(990, 1012, 3))
async def test_an_id_that_is_cut_is_no_id(host: Host, before: int) -> None:
    """A wrapper of the site says something of its own first."""
    host.backend = HostBackend(LocalShell(), Slurms(), host.site)
    handle = await host.prepared()
    host.program("sbatch", f"printf '%{before}s\\n' notice; echo 7654321")
    told = (await asyncio.gather(host.backend.start(handle), return_exceptions=True))[0]
    assert told == JobRef("7654321", handle) or isinstance(told, SubmitUncertain)


class SlowLine(LocalShell):
    async def run(self, verb: str, *words: str, stdin: bytes = b"", time_limit: float = 60) -> Completed:
        if verb == "layout":
            await asyncio.sleep(0.5)
        return await super().run(verb, *words, stdin=stdin, time_limit=time_limit)


@pytest.mark.parametrize("others", [0, 1])
async def test_a_prepare_that_was_cancelled_lays_nothing_out_any_more(host: Host, others: int) -> None:
    """What is removed after it stays removed: the secrets of a cancelled run among them."""
    backend = host.backend = HostBackend(SlowLine(), Dialect(), host.site)
    specs = [replace(host.case.spec(), environment={"SECRET": "hush"}) for _ in range(1 + others)]
    await backend.stage(specs[0].code)
    tasks = [asyncio.create_task(backend.prepare(spec)) for spec in specs]
    await asyncio.sleep(0.2)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await backend.remove(Handle(specs[0].tag, ""), "run")
    await asyncio.gather(*tasks[1:])
    assert not Path(host.site.work_directory, specs[0].run_id).exists()
