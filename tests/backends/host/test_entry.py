"""The door of the entry script: words, forced command, directories it never leaves."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from backends.host.calls import Layout, Submit, answers, layout_files, layout_words, start_words
from backends.host.places import Archive, Place
from backends.host.shell import Completed
from backends.host.words import encode

ENTRY = Path(__file__).parents[3] / "backends" / "host" / "entry.sh"


def entry(
    *words: str, forced: bool = False, stdin: bytes = b"", **variables: str
) -> "subprocess.CompletedProcess[str]":
    encoded = [encode(word) for word in words]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **variables}
    if forced:
        environment["SSH_ORIGINAL_COMMAND"] = " ".join([".mantik/entry-1", *encoded])
        encoded = []
    done = subprocess.run(["bash", ENTRY, *encoded], env=environment, input=stdin, capture_output=True, check=False)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("forced", [False, True])
def test_words_arrive_as_they_are(forced: bool, tmp_path: Path) -> None:
    name = 'it\'s * $(touch pwned) "x" % ~ ü\n\\n'
    attempt = tmp_path / "run" / "1"
    attempt.mkdir(parents=True)
    (attempt / name).write_text("found")
    assert entry("read", str(tmp_path), "run", "1", "attempt", name, "0", "99", forced=forced).stdout == "found"


def test_variables_of_the_work_directory_are_expanded_and_nothing_is_run(tmp_path: Path) -> None:
    done = entry("check", "$TOP/${USER_NAME}/work $(touch pwned)", TOP=str(tmp_path), USER_NAME="al ice")
    assert done.returncode == 1
    assert not (tmp_path / "pwned").exists()
    done = entry("check", "$TOP/${USER_NAME}/work", TOP=str(tmp_path), USER_NAME="al ice")
    assert f"root={tmp_path}/al ice/work" in done.stdout.splitlines()
    assert (tmp_path / "al ice" / "work").stat().st_mode & 0o777 == 0o700


def test_a_variable_of_login_shells_is_found(tmp_path: Path) -> None:
    (tmp_path / ".bash_profile").write_text(f"echo welcome; export SCRATCH={tmp_path}/scratch\n")
    done = entry("check", "$SCRATCH/mantik", HOME=str(tmp_path))
    assert f"root={tmp_path}/scratch/mantik" in done.stdout.splitlines()


CHECK = ("check",)
LAYOUT = ("layout", "run", "1", "0" * 64, "then")


@pytest.mark.parametrize("verb", [CHECK, LAYOUT])
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_work_directory_in_which_others_write_is_refused(verb: tuple[str, ...], mode: int, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(mode)
    done = entry(verb[0], str(work), *verb[1:])
    assert done.returncode == 1
    assert done.stderr == (
        f"mantik: other accounts may write in the work directory {work}; "
        "run `chmod go-w` on it there, or set another one\n"
    )
    work.chmod(0o755)
    assert "other accounts" not in entry(verb[0], str(work), *verb[1:]).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a directory of another account")
@pytest.mark.parametrize("verb", [CHECK, LAYOUT])
def test_a_work_directory_of_another_account_is_refused(verb: tuple[str, ...], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    os.chown(work, 65534, 65534)
    done = entry(verb[0], str(work), *verb[1:])
    assert done.returncode == 1
    assert done.stderr == (
        f"mantik: the work directory {work} belongs to nobody, not to root; set another one, such as $HOME/mantik\n"
    )


def test_a_variable_that_is_nowhere_is_named() -> None:
    done = entry("check", "$NO_SUCH/mantik")
    assert done.returncode == 1
    assert "$NO_SUCH" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("remove", "/tmp", "..", "1", "run"),
        ("remove", "/tmp", "a/../..", "1", "run"),
        ("revoke", "/tmp", ".", "1"),
        ("layout", "/tmp", "run", "1/..", "0" * 64, "then"),
        ("layout", "/tmp", "run", "1", "../x", "then"),
        ("layout", "/tmp", "run", "1", "0" * 64),
        ("layout", "/tmp", *("run", "1", "0" * 64, "then") * 2),
        ("stage", "/tmp", "../x", "0", "1"),
        ("run", "rm", "-rf", "x"),
        ("run", "env", "A=B", "scontrol", "update", "x"),
        ("start", "/tmp", "3", "sh", "-c", "x", "run", "1", "1", "0"),
        ("start", "/tmp", "0", "run", "1", "1", "3", "sh", "-c", "x"),
        ("start", "/tmp", "1", "sbatch", "../run", "1", "1", "0"),
        ("start", "/tmp", "1", "sbatch", "run", "1", "1", "9", "x"),
        ("start", "/tmp", "4", "env", "-u", "x[$(rm -rf run)]", "sbatch", "run", "1", "1", "0"),
        ("start", "/tmp", "3", "env", "x[$(rm -rf run)]=y", "sbatch", "run", "1", "1", "0"),
        ("no-such-verb", "/tmp"),
        (),
    ],
)
def test_what_is_not_in_its_language_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "run" / "1").mkdir(parents=True)
    words = tuple(str(tmp_path) if word == "/tmp" else word for word in words)
    assert entry(*words).returncode == 64
    assert (tmp_path / "run" / "1").is_dir()


def test_evidence_of_many_attempts_in_one_answer(tmp_path: Path) -> None:
    names = [f"run{k}/1" for k in range(500)]
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "fence.7").touch()
        (tmp_path / name / "mantik.log").write_text("x")
    listed = "".join(f"{name}\n" for name in [*names, "gone/1"])
    done = subprocess.run(
        ["bash", ENTRY, "evidence", encode(str(tmp_path))], input=listed, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert sum(line.startswith("fence ") for line in lines) == 500
    assert sum(line.startswith("log ") for line in lines) == 500
    assert "gone gone/1" in lines
    assert lines[-1] == "end"


SHA = "5" * 64


def work_directory(folder: Path) -> Path:
    """With a project in its cache, and an sbatch that says which job it would be."""
    code = folder / "project"
    code.mkdir()
    (code / "MLproject").write_text("name: x\n")
    work = folder / "work"
    (work / "cache").mkdir(parents=True, mode=0o755)
    work.chmod(0o755)
    subprocess.run(["tar", "-czf", work / "cache" / f"{SHA}.tar.gz", "-C", code, "."], check=True)
    sbatch = folder / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text('#!/bin/bash\necho "$@" >>calls; echo "$@"; echo "$HIDDEN$SHOWN" >&2; [ "$1" != -Jb ]\n')
    sbatch.chmod(0o755)
    return work


def layout(run: str, code: str = SHA, last: str = "ticket") -> Layout:
    return Layout(run, "1", code, last, {"job.sh": f"echo {run}".encode(), "env": b""}, 0)


def lay_out(work: Path, *calls: Layout, forced: bool = False) -> list[Completed]:
    done = entry("layout", str(work), *layout_words(calls), stdin=layout_files(calls), forced=forced)
    return answers(Completed(done.returncode, done.stdout.encode(), done.stderr.encode()), len(calls))


def start(work: Path, *runs: str, forced: bool = False, **variables: str) -> list[Completed]:
    argv = ("env", "-u", "HIDDEN", "SHOWN=it's ü", "sbatch")
    calls = [Submit(Place(str(work), run, "1"), 1, (*argv, f"-J{run}", "a b")) for run in runs]
    path = f"{work.parent / 'bin'}:{os.environ['PATH']}"
    done = entry("start", str(work), *start_words(calls), forced=forced, PATH=path, **variables)
    return answers(Completed(done.returncode, done.stdout.encode(), done.stderr.encode()), len(calls))


@pytest.mark.parametrize("forced", [False, True])
def test_several_calls_in_one_command(forced: bool, tmp_path: Path) -> None:
    work = work_directory(tmp_path)
    laid = lay_out(work, *map(layout, "abcde"), forced=forced)
    assert [(answer.code, answer.stdout.decode()) for answer in laid] == [(0, f"{work}/{run}/1") for run in "abcde"]
    for run in "abcde":
        assert (work / run / "code" / "MLproject").read_text() == "name: x\n"
        assert (work / run / "1" / "job.sh").read_text() == f"echo {run}"
        assert (work / run / "1" / "ticket").samefile(work / run / "1" / "laid")
        assert {path.name for path in (work / run).iterdir()} == {"1", "code", "inputs", "outputs"}
    assert {path.name for path in work.iterdir()} == {"cache", *"abcde"}, "nothing is left aside"
    said = start(work, *"abcde", forced=forced, HIDDEN="no")
    for run, answer in zip("abcde", said, strict=True):
        text = f"-J{run} a b\n"
        code = 1 if run == "b" else 0
        assert answer == Completed(0, f"answer fresh {code} {len(text)}\n{text}it's ü\n".encode(), b"")
    again = start(work, *"edcba", forced=forced)[::-1]
    assert [answer.stdout for answer in again] == [answer.stdout.replace(b"fresh", b"recorded") for answer in said]
    assert all((work / run / "1" / "calls").read_text() == f"-J{run} a b\n" for run in "abcde")


def test_a_call_that_fails_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    work = work_directory(tmp_path)
    (work / "bad").write_text("a file in the way")
    damaged = "6" * 64
    (work / "cache" / f"{damaged}.tar.gz").write_text("no tar")
    calls = (layout("a"), layout("none", "7" * 64), layout("bad"), layout("damaged", damaged), layout("b"))
    codes = [answer.code for answer in lay_out(work, *calls)]
    assert codes == [0, 65, 1, 1, 0]
    assert {path.name for path in work.iterdir()} == {"cache", "bad", "a", "b"}
    (work / "b" / "1" / "ticket").rename(work / "b" / "1" / "fence.77")
    said = [answer.stdout.decode() or answer.code for answer in start(work, "gone", "b", "a")]
    assert said[:2] == [65, "noticket\n77"]
    assert str(said[2]).startswith("answer fresh 0 ")


def test_a_layout_completes_what_is_there(tmp_path: Path) -> None:
    work = work_directory(tmp_path)
    lay_out(work, layout("a", last="then"))
    assert not (work / "a" / "1" / "ticket").exists()
    (work / "a" / "code" / "mine").touch()
    (work / "a" / "1" / "job.sh").unlink()
    second = Layout("b", "2", SHA, "ticket", {"job.sh": b"two"}, 0)
    lay_out(work, layout("b"))
    assert [answer.code for answer in lay_out(work, layout("a"), second)] == [0, 0]
    assert (work / "a" / "code" / "mine").exists()
    assert (work / "a" / "1" / "job.sh").read_text() == "echo a"
    assert all((work / path / "ticket").samefile(work / path / "laid") for path in ("a/1", "b/1", "b/2"))
    (work / "a" / "1" / "ticket").rename(work / "a" / "1" / "fence.revoked")
    assert lay_out(work, layout("a"))[0].code == 0
    assert not (work / "a" / "1" / "ticket").exists()


def test_code_is_taken_from_the_cache_alone(tmp_path: Path) -> None:
    work = work_directory(tmp_path)
    archive = Archive()
    archive.file("new/a/1/laid", b"")
    archive.link("new/a/1/ticket", "new/a/1/laid")
    archive.symlink("of/a", str(tmp_path))
    assert entry("layout", str(work), "a", "1", SHA, "ticket", stdin=archive.bytes()).returncode == 64
    assert {path.name for path in work.iterdir()} == {"cache"}


def test_files_that_were_cut_lay_no_ticket(tmp_path: Path) -> None:
    work = work_directory(tmp_path)
    whole = layout_files([layout("a")]).rstrip(b"\0")
    for arrived in range(0, len(whole) + 1, 512):
        assert entry("layout", str(work), "a", "1", SHA, "ticket", stdin=whole[:arrived]).returncode != 0
        assert {path.name for path in work.iterdir()} == {"cache"}
    assert lay_out(work, layout("a"))[0].code == 0


def test_what_a_killed_layout_left_is_removed_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".lay.host.1.2", 90_000), (".lay.host.3.4", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "env").write_text("secret")
        then = time.time() - age
        os.utime(tmp_path / name, (then, then))
    assert entry("check", str(tmp_path)).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {".lay.host.3.4"}
