"""The script as bash runs it: what arrives, what is recorded at the end, what a second copy does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.backend import DUPLICATE_EXIT_CODE, NO_FENCE_EXIT_CODE, REVOKED_EXIT_CODE
from backends.reasons import Reason
from tests.backends.job_script.attempt import LIMIT, Attempt, request

VALUES = {
    'it\'s "quoted"': 'it\'s "quoted"',
    '{"a": ["b", {"c": null}]}': '{"a": ["b", {"c": null}]}',
    "one\n\n two\n": "one\n\n two\n",
    "$(echo expanded) $HOST_NAME": "expanded here",
    "${BASE}/x": "/base/x",
    "* ? [a-z] ~ !! #": "* ? [a-z] ~ !! #",
    "Größe 数 🚀": "Größe 数 🚀",
    "END\nEOF": "END\nEOF",
    "x" * 10_000: "x" * 10_000,
    "  blanks\t ": "  blanks\t ",
    "": "",
}
DUMP = 'for n in ${!V@}; do printf %s "${!n}" >"$MANTIK_OUTPUTS_DIR/$n"; done'


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_variables_are_expanded_as_in_a_here_document(tmp_path: Path) -> None:
    given = {f"V{k}": value for k, value in enumerate(VALUES)}
    attempt = Attempt(tmp_path, request(DUMP, {"Variables": {"BASE": "/base", **given}}), {"HOST_NAME": "here"})
    assert attempt.to_end() == 0, attempt.log
    for name, expected in zip(given, VALUES.values(), strict=True):
        assert attempt.output(name) == expected


def test_a_variable_may_break_everything_but_the_record_of_the_end(tmp_path: Path) -> None:
    variables = {"PATH": "/nowhere", "IFS": "=", "BASH_ENV": "/dev/null"}
    attempt = Attempt(tmp_path, request("exit 5", {"Variables": variables}))
    assert attempt.to_end() == 5
    assert attempt.exit is not None
    assert attempt.exit.code == 5


def test_a_variable_that_cannot_be_expanded_is_named(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, request("touch ran", {"Variables": {"BAD": "$(echo"}}))
    assert attempt.to_end() != 0
    assert "BAD" in attempt.log
    assert attempt.exit is not None
    assert not (attempt.run / "code" / "ran").exists()


def test_where_things_are(tmp_path: Path) -> None:
    names = ("RUN_ID", "GIT_REF", "WORKING_DIRECTORY", "INPUTS_DIR", "OUTPUTS_DIR", "CHECKPOINT_DIR")
    command = f'printf "%s\\n" {" ".join(f"$MANTIK_{n}" for n in names)} $UC_WORKING_DIRECTORY $SLURM_EXPORT_ENV $PWD'
    attempt = Attempt(tmp_path, request(command, project_path="sub"))
    (attempt.run / "code" / "sub").mkdir()
    assert attempt.to_end() == 0
    code, run = str(attempt.run / "code" / "sub"), attempt.run
    checkpoint = str(tmp_path / "lineage" / "lineage-1" / "checkpoint")
    places = ["run-1", "0123abc", code, f"{run}/inputs", f"{run}/outputs", checkpoint, code, "ALL", code]
    assert attempt.log.splitlines() == places


@pytest.mark.parametrize(
    ("gateway_says", "user_says", "expected"),
    [
        (None, None, "file:{run}/outputs/mlruns"),
        ("https://gateway.test/tracking/", None, "https://gateway.test/tracking/"),
        (None, "https://mine.test", "https://mine.test"),
    ],
)
def test_where_mlflow_logs_to(tmp_path: Path, gateway_says: str | None, user_says: str | None, expected: str) -> None:
    variables = {"Variables": {"MLFLOW_TRACKING_URI": user_says}} if user_says else {}
    secrets = {"MLFLOW_TRACKING_URI": gateway_says} if gateway_says else {}
    attempt = Attempt(tmp_path, request("echo $MLFLOW_TRACKING_URI", variables), secrets)
    assert attempt.to_end() == 0
    assert attempt.log == expected.format(run=attempt.run) + "\n"


TRAINING = """
import mlflow

with mlflow.start_run():
    mlflow.log_metric("loss", 0.5)
    mlflow.log_text("hello", "note.txt")
"""


@pytest.mark.mlflow
def test_a_training_that_does_not_reach_the_gateway_logs_to_files_of_its_run(tmp_path: Path) -> None:
    given = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
    attempt = Attempt(tmp_path, request(f"{sys.executable} train.py"), given)
    (attempt.run / "code" / "train.py").write_text(TRAINING)
    assert attempt.to_end(MLFLOW_DISABLE_TELEMETRY="true") == 0, attempt.log
    assert "View run" not in attempt.log
    (metric,) = (attempt.run / "outputs" / "mlruns").glob("0/*/metrics/loss")
    assert metric.read_text().split()[1] == "0.5"
    assert (metric.parents[1] / "artifacts" / "note.txt").read_text() == "hello"


@pytest.mark.parametrize("site_sets", [None, "9"])
def test_cpus_per_task_is_a_default_only(tmp_path: Path, site_sets: str | None) -> None:
    attempt = Attempt(tmp_path, request("echo $SRUN_CPUS_PER_TASK", resources={"CPUsPerTask": 4}))
    attempt.to_end(**({"SRUN_CPUS_PER_TASK": site_sets} if site_sets else {}))
    assert attempt.log == f"{site_sets or 4}\n"


def test_commands_before_and_after_share_a_shell_and_the_code_decides(tmp_path: Path) -> None:
    environment = {
        "PreRunCommandOnComputeNode": ["export FROM_PRE='a b'", "cd .."],
        "PostRunCommandOnComputeNode": ['echo "post $FROM_PRE"'],
    }
    attempt = Attempt(tmp_path, request('echo "run $FROM_PRE"; exit 3', environment))
    assert attempt.to_end() == 3
    assert attempt.log == "run a b\npost a b\n"


@pytest.mark.parametrize("command", ["false", "exit 0", "exit 6", "no-such-program"])
def test_a_command_before_that_fails_ends_the_run_with_a_clear_line(tmp_path: Path, command: str) -> None:
    environment = {"PreRunCommandOnComputeNode": [command], "PostRunCommandOnComputeNode": "echo tidied"}
    attempt = Attempt(tmp_path, request("echo never", environment))
    assert attempt.to_end() != 0
    assert "mantik: Environment.PreRunCommandOnComputeNode (1) ended" in attempt.log
    assert "never" not in attempt.log
    assert attempt.log.endswith("tidied\n")


def test_a_command_after_that_fails_fails_a_run_that_was_well(tmp_path: Path) -> None:
    attempt = Attempt(
        tmp_path, request("true", {"PostRunCommandOnComputeNode": ["exit_with() { return 4; }; exit_with"]})
    )
    assert attempt.to_end() == 4
    assert "PostRunCommandOnComputeNode ended with code 4" in attempt.log


def test_apptainer_is_started_by_srun_with_options_image_and_words(tmp_path: Path) -> None:
    """Apptainer is not in Debian 12: a stand-in records its command line."""
    image = {"Path": "img/a b.sif", "Options": ["--bind", "$PWD:/data"]}
    attempt = Attempt(tmp_path, request("python t.py --x 'a b' \"$MANTIK_RUN_ID\"", {"Apptainer": image}))
    (attempt.run / "code" / "img").mkdir()
    (attempt.run / "code" / "img" / "a b.sif").touch()
    for name in ("srun", "apptainer"):
        attempt.program(name, f'printf "%s|" {name} "$@"; echo; exec "$@"' if name == "srun" else 'printf "%s|" "$@"')
    assert attempt.to_end() == 0, attempt.log
    words = ["run", "--bind", f"{attempt.run}/code:/data", "img/a b.sif", "python", "t.py", "--x", "a b", "run-1", ""]
    assert attempt.log == "srun|apptainer|" + "|".join(words) + "\n" + "|".join(words)


@pytest.mark.parametrize("image", [{"Path": "no.sif"}, {"Path": "/no/image.sif", "Type": "remote"}])
def test_an_image_that_is_not_there_is_the_reason(tmp_path: Path, image: dict[str, str]) -> None:
    attempt = Attempt(tmp_path, request("true", {"Apptainer": image}))
    assert attempt.to_end() == 1
    assert attempt.exit is not None
    assert attempt.exit.reason is Reason.IMAGE_FAILED
    assert "there is no image" in attempt.log


def test_modules_and_venv_are_seen_by_the_command(tmp_path: Path) -> None:
    venv = tmp_path / "a venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "activate").write_text("export VIRTUAL_ENV=here\n")
    attempt = Attempt(tmp_path, request('echo "$LOADED $VIRTUAL_ENV"', {"Modules": ["GCC"], "Python": str(venv)}))
    define = 'module() { export LOADED="$2"; }'
    (attempt.path / "env").write_text(f"{define}\n")
    assert attempt.to_end() == 0
    assert attempt.log == "GCC here\n"


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, request("true", {"Modules": ["GCC"]}))
    (attempt.path / "env").write_text("module() { return 1; }\n")
    assert attempt.to_end() == 1
    assert "cannot load GCC" in attempt.log


def test_terminated_the_command_finishes_its_checkpoint_and_the_secrets_stay(tmp_path: Path) -> None:
    work = (
        'trap "sleep 0.3; touch $MANTIK_OUTPUTS_DIR/saved; exit 0" TERM; touch $MANTIK_OUTPUTS_DIR/up; sleep 60 & wait'
    )
    command = f"bash -c '{work}'; touch $MANTIK_OUTPUTS_DIR/went-on"
    attempt = Attempt(tmp_path, request(command), {"TOKEN": "x"})
    process = attempt.begin()
    wait_for((attempt.run / "outputs" / "up").exists)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(LIMIT) == 143
    assert (attempt.run / "outputs" / "saved").exists()
    assert not (attempt.run / "outputs" / "went-on").exists()
    assert attempt.exit is not None
    assert (attempt.exit.code, attempt.exit.signal) == (143, 15)
    assert (attempt.path / "env").exists()


def test_requeued_it_runs_again_and_its_exit_is_of_the_last_start(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, request("echo start; exit ${SLURM_RESTART_COUNT:-9}"))
    assert attempt.to_end() == 9
    assert attempt.to_end(SLURM_RESTART_COUNT="1") == 1
    assert attempt.log == "start\nstart\n"
    assert attempt.exit is not None
    assert (attempt.exit.job_id, attempt.exit.restarts, attempt.exit.code) == ("7", 1, 1)


def test_copies_touch_nothing(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, request("echo ran"))
    assert attempt.to_end(SLURM_JOB_ID="1") == 0
    before = sorted(path.name for path in attempt.path.iterdir())
    assert attempt.to_end(SLURM_JOB_ID="2") == DUPLICATE_EXIT_CODE
    assert sorted(path.name for path in attempt.path.iterdir()) == before
    (attempt.path / "fence.1").rename(attempt.path / "fence.revoked")
    assert attempt.to_end(SLURM_JOB_ID="1") == REVOKED_EXIT_CODE
    (attempt.path / "fence.revoked").unlink()
    assert attempt.to_end(SLURM_JOB_ID="3") == NO_FENCE_EXIT_CODE
    assert attempt.log == "ran\n"


def test_the_fence_counts_not_the_answer_of_mv(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, request("echo ran"))
    attempt.program("mv", '/bin/mv "$@"; exit 1')
    assert attempt.to_end() == 0
    assert attempt.log == "ran\n"


def test_ten_copies_at_once_one_runs(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, request("echo ran"))
    copies = [attempt.begin(SLURM_JOB_ID=str(k)) for k in range(10)]
    assert sorted(copy.wait(LIMIT) for copy in copies) == [0] + [DUPLICATE_EXIT_CODE] * 9
    assert attempt.log == "ran\n"


def test_a_disk_that_fills_up_does_not_hide_the_end(tmp_path: Path) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        attempt = Attempt(disk, request('head -c 1M /dev/zero >"$MANTIK_OUTPUTS_DIR/big"; exit 3'))
        assert attempt.to_end() == 3
        assert attempt.exit is not None
        assert attempt.exit.code == 3
    finally:
        subprocess.run(["umount", str(disk)], check=True)
