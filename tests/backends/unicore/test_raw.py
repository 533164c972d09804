import subprocess
from pathlib import Path

import pytest

from backends.batch_script import directives
from backends.unicore.names import job_name
from backends.unicore.raw import raw_directives, script
from tests.backends.unicore.requests import request


def laid_out(directory: Path, command: str) -> Path:
    """A job's directory as the backend leaves it before the start."""
    for name in ("code", "inputs", "outputs"):
        (directory / name).mkdir()
    (directory / "ticket").touch()
    (directory / "env").write_text("export SECRET='a \"b\" $c'\n")
    (directory / "job.sh").write_bytes(script(request(command=command)))
    return directory


def run(directory: Path) -> subprocess.CompletedProcess[str]:
    # Where UNICORE runs jobs by itself a second copy has the same directory, and no scheduler's variables.
    return subprocess.run(
        ["/bin/bash", "job.sh"],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lines_are_those_of_the_slurm_backend_and_two_more() -> None:
    wanted = request({"GPUsPerNode": 4, "MemoryPerNode": "64G", "Nodes": 2, "CPUsPerNode": 12}, account="proj1")
    lines = raw_directives(wanted)
    assert lines == (*directives(wanted), "--job-name=a.run", "--comment=mantik-r1")
    text = script(wanted).decode().splitlines()
    assert text[0] == "#!/bin/bash"
    assert [line.removeprefix("#SBATCH ") for line in text[1 : len(lines) + 1]] == list(lines)
    assert {"--account=proj1", "--output=mantik.log", "--gres=gpu:4", "--mem=65536M"} <= set(lines)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_log_and_exit_code_are_where_the_site_looks(tmp_path: Path, code: int) -> None:
    done = run(laid_out(tmp_path, f"echo out; echo err >&2; exit {code}"))
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert sorted((tmp_path / "mantik.log").read_text().split()) == ["err", "out"]
    assert (tmp_path / "UNICORE_SCRIPT_EXIT_CODE").read_text() == f"{code}\n"
    assert f"code={code}" in (tmp_path / "exit").read_text()


def test_a_second_copy_touches_nothing(tmp_path: Path) -> None:
    directory = laid_out(tmp_path, "echo once")
    run(directory)
    before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    assert run(directory).returncode == 114
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == before


def test_code_of_an_earlier_start_is_gone_while_it_runs(tmp_path: Path) -> None:
    directory = laid_out(tmp_path, "ls ..")
    (directory / "UNICORE_SCRIPT_EXIT_CODE").write_text("143\n")
    run(directory)
    assert "UNICORE_SCRIPT_EXIT_CODE" not in (directory / "mantik.log").read_text()


def test_everything_lies_in_the_jobs_own_directory(tmp_path: Path) -> None:
    run(laid_out(tmp_path, 'echo "$MANTIK_OUTPUTS_DIR $PWD $MANTIK_CHECKPOINT_DIR $SECRET"'))
    expected = f'{tmp_path}/outputs {tmp_path}/code {tmp_path}/mantik/lineage/r1/checkpoint a "b" $c\n'
    assert (tmp_path / "mantik.log").read_text() == expected


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a run", "a.run"),
        ("état_d'art (2)", "tat.d.art.2"),
        ("", "mantik"),
        ("---", "mantik"),
        ("x" * 200, "x" * 64),
        ("$(reboot)", "reboot"),
    ],
)
def test_names_keep_what_unicore_takes(name: str, shown: str) -> None:
    assert job_name(name) == shown
