"""The door of the entry script: words, forced command, directories it never leaves."""

import os
import subprocess
from pathlib import Path

import pytest

from backends.host.words import encode

ENTRY = Path(__file__).parents[3] / "backends" / "host" / "entry.sh"


def entry(*words: str, forced: bool = False, **variables: str) -> "subprocess.CompletedProcess[str]":
    encoded = [encode(word) for word in words]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **variables}
    if forced:
        environment["SSH_ORIGINAL_COMMAND"] = " ".join([".mantik/entry-1", *encoded])
        encoded = []
    return subprocess.run(["bash", ENTRY, *encoded], env=environment, capture_output=True, text=True, check=False)


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
LAYOUT = ("layout", "run", "1", "0" * 64, "lineage", "then")


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
        ("layout", "/tmp", "run", "1/..", "0" * 64, "l"),
        ("stage", "/tmp", "../x", "0", "1"),
        ("run", "rm", "-rf", "x"),
        ("run", "env", "A=B", "scontrol", "update", "x"),
        ("start", "/tmp", "run", "1", "1", "sh", "-c", "x"),
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
