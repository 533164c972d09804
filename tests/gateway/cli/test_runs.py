import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.client import LogEvent
from gateway.client.runs import Runs
from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import CODE, CONNECTION, EXPERIMENT, RUN, Wire, identifier, run_view

CONFIG = "SSH:\n  Hostname: login.example\nResources:\n  Queue: batch\n"
SUBMIT = ("runs", "submit", "MLproject", "--backend-config", "config.yaml")
NAMED = ("--experiment", "iris", "--code", "models", "--connection", "mine")


@pytest.fixture(autouse=True)
def config(mantik: Mantik, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)


def test_a_submit_prints_the_id_alone(mantik: Mantik, wire: Wire) -> None:
    done = mantik(*SUBMIT, *NAMED, "-P", "alpha=0.1", "-P", "text=a=b", "--branch", "main")
    assert (done.code, done.out) == (0, f"{RUN}\n")
    assert done.err == f"Submitted. To follow it: mantik runs logs {RUN}\n"
    assert wire.bodies == [
        {
            "name": "models main",
            "experimentRepositoryId": EXPERIMENT,
            "codeRepositoryId": CODE,
            "connectionId": CONNECTION,
            "branch": "main",
            "mlflowMlprojectFilePath": "MLproject",
            "entryPoint": "main",
            "mlflowParameters": {"alpha": "0.1", "text": "a=b"},
            "backendConfig": {"SSH": {"Hostname": "login.example", "Port": 22}, "Resources": {"Queue": "batch"}},
        }
    ]


def test_the_published_command_line_works_as_it_is(mantik: Mantik, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    done = mantik(
        *(
            "runs",
            "submit",
            "sub/MLproject",
            "--name",
            "n",
            "--entry-point",
            "train",
            "--backend-config",
            "config.yaml",
        ),
        *("--project-id", identifier(2), "--data-repository-id", identifier(9), "--data-branch", "d"),
        *("--data-commit", "e", "--experiment-repository-id", EXPERIMENT, "--code-repository-id", CODE),
        *("--branch", "main", "--commit", "c0ffee", "--compute-budget-account", "proj1"),
        *("--connection-id", CONNECTION, "-P", "a=1", "-v"),
    )
    assert done.code == 0
    by_options = wire.bodies[-1]
    for name, value in {
        "PROJECT_ID": identifier(2),
        "DATA_REPOSITORY_ID": identifier(9),
        "DATA_REPOSITORY_BRANCH": "d",
        "DATA_REPOSITORY_COMMIT": "e",
        "EXPERIMENT_REPOSITORY_ID": EXPERIMENT,
        "CODE_REPOSITORY_ID": CODE,
        "CONNECTION_ID": CONNECTION,
        "COMPUTE_BUDGET_ACCOUNT": "proj1",
    }.items():
        monkeypatch.setenv(f"MANTIK_{name}", value)
    mantik(
        *(
            "runs",
            "submit",
            "sub/MLproject",
            "--name",
            "n",
            "--entry-point",
            "train",
            "--backend-config",
            "config.yaml",
        ),
        *("--branch", "main", "--commit", "c0ffee", "-P", "a=1"),
    )
    assert wire.bodies[-1] == by_options
    assert by_options["dataRepositoryId"] == identifier(9)
    assert by_options["computeBudgetAccount"] == "proj1"
    assert by_options["mlflowMlprojectFilePath"] == "sub/MLproject"


def test_what_is_missing_is_named_at_once(mantik: Mantik, wire: Wire) -> None:
    done = mantik(*SUBMIT, "--code", "models")
    assert (done.code, done.err) == (
        2,
        "Error: Missing: --experiment-repository-id (or MANTIK_EXPERIMENT_REPOSITORY_ID), "
        "--connection-id (or MANTIK_CONNECTION_ID).\nNext: mantik runs submit --help\n",
    )
    assert mantik(*SUBMIT, *NAMED, "-P", "x").err.startswith("Error: -P x: give it as KEY=VALUE.\n")
    assert mantik(*SUBMIT, *NAMED, "-P", "x=1", "-P", "x=2").err.startswith("Error: -P x=2: x is given twice.\n")
    assert "--follow or --detach" in mantik(*SUBMIT, *NAMED, "--follow", "--detach").err
    assert wire.bodies == []


def test_a_bad_config_is_told_with_file_and_line_before_anything_is_asked(
    mantik: Mantik, wire: Wire, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG + "  Nodse: 2\n")
    done = mantik(*SUBMIT, *NAMED)
    assert done.code == 2
    assert "  config.yaml:5: Resources.Nodse: " in done.err
    assert done.err.endswith("Next: Correct the file, then: mantik configs check config.yaml\n")
    assert wire.asked == []


def test_a_path_in_the_repository(mantik: Mantik, wire: Wire) -> None:
    done = mantik("runs", "submit", ".", "--backend-config", "conf/hpc.yaml", *NAMED)
    assert done.err.startswith("conf/hpc.yaml is no file here: it is taken from the repository.\n")
    assert wire.bodies[-1]["backendConfig"] == "conf/hpc.yaml"
    assert "there is no such file" in mantik("runs", "submit", ".", "--backend-config", "/no/file", *NAMED).err


def test_a_lost_answer_is_one_run(mantik: Mantik, wire: Wire) -> None:
    wire.faults = [("POST", "/runs", "lost")]
    assert mantik(*SUBMIT, *NAMED).out == f"{RUN}\n"
    assert len(wire.keys) == 1


def test_a_dry_run(mantik: Mantik, wire: Wire) -> None:
    done = mantik(*SUBMIT, *NAMED, "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Commit:         c0ffee\n"
        "Command:        python train.py\n"
        "Submit command: sbatch --account=proj1 job.sh\n"
        f"Script SHA-256: {'ab' * 32}\n"
        "\n"
        "Warning: CPUsPerNode alone means tasks.\n"
        "\n"
        "Config:\n  SSH:\n    Hostname: login.example\n    Port: 22\n  Resources:\n    Queue: batch\n"
        "\n"
        "Job script:\n#!/bin/bash\npython train.py\n"
    )
    found = json.loads(mantik(*SUBMIT, *NAMED, "--dry-run", "-o", "json").out)
    assert found["script"] == "#!/bin/bash\npython train.py\n"
    assert wire.keys == {}


def _follow(wire: Wire, **end: object) -> None:
    wire.streams = [
        [("state", "0.0", {"state": "RUNNING"}), ("log", "0.5", {"text": "epoch"})],
        [("gap", "0.90", {"skipped": 2048}), ("log", "0.99", {"text": " 2\n"}), ("end", "0.99", {})],
    ]
    wire.runs[RUN].update(end)


def test_a_terminal_follows(mantik: Mantik, wire: Wire) -> None:
    wire.streams = [[("log", "0.3", {"text": "hi\n"}), ("end", "0.3", {"state": "FAILED"})]]
    wire.states = ["FAILED"]
    done = mantik(*SUBMIT, *NAMED, "--name", "train", terminal=True)
    assert (done.code, done.out) == (10, "hi\n")
    assert done.err == f"Submitted run train ({RUN}).\nRun train is FAILED.\nNext: mantik runs describe {RUN}\n"


def test_warnings_are_told_once_the_run_is_planned(mantik: Mantik, wire: Wire) -> None:
    states = [("state", "0.0", {"state": s}) for s in ("CREATED", "PREPARING", "QUEUED")]
    wire.streams = [[*states, ("log", "0.3", {"text": "hi\n"}), ("end", "0.3", {"state": "FINISHED"})]]
    wire.warnings = ["Site hpc charges 1 whole node."]
    done = mantik(*SUBMIT, *NAMED, "--name", "train", terminal=True)
    assert done.err.splitlines()[1:5] == [
        "Run is CREATED.",
        "Run is PREPARING.",
        "Warning: Site hpc charges 1 whole node.",
        "Run is QUEUED.",
    ]


@pytest.mark.parametrize("word", ["--no-follow", "--detach"])
def test_a_terminal_does_not_follow_when_told_so(mantik: Mantik, wire: Wire, word: str) -> None:
    assert mantik(*SUBMIT, *NAMED, word, terminal=True).out == f"{RUN}\n"
    assert wire.opened == []


def test_following_on_request_with_json_keeps_stdout_for_json(mantik: Mantik, wire: Wire) -> None:
    wire.streams = [[("log", "0.3", {"text": "hi\n"}), ("end", "0.3", {"state": "FINISHED"})]]
    wire.states = ["FINISHED"]
    done = mantik(*SUBMIT, *NAMED, "--follow", "-o", "json")
    assert done.code == 0
    assert json.loads(done.out)["state"] == "FINISHED"
    assert "hi\n" in done.err


def test_logs_followed_over_a_cut(mantik: Mantik, wire: Wire) -> None:
    _follow(wire)
    wire.states = ["RUNNING", "FINISHED"]
    done = mantik("runs", "logs", RUN)
    assert (done.code, done.out) == (0, "epoch 2\n")
    assert done.err == (
        "Run is RUNNING.\n"
        f"\n... 2.0 KiB left out here; the whole log: mantik runs logs {RUN} --no-follow\n"
        "Run train is FINISHED.\n"
    )


@pytest.mark.parametrize(
    ("end", "code", "sentence"),
    [
        ({"state": "FINISHED", "exitCode": 0}, 0, "Run train is FINISHED after 1m15s."),
        (
            {"state": "FAILED", "exitCode": 7, "reason": "EXIT_CODE", "message": "The command ended with code 7."},
            7,
            "Run train is FAILED after 1m15s: EXIT_CODE: The command ended with code 7.",
        ),
        (
            {"state": "FAILED", "reason": "LOST", "message": "Nothing is left of it"},
            10,
            "Run train is FAILED after 1m15s: LOST: Nothing is left of it.",
        ),
        (
            {"state": "CANCELLED", "reason": "CANCELLED_BY_USER"},
            11,
            "Run train is CANCELLED after 1m15s: CANCELLED_BY_USER.",
        ),
    ],
)
def test_the_end_of_a_run(mantik: Mantik, wire: Wire, end: dict[str, object], code: int, sentence: str) -> None:
    times = {"startedAt": "2026-01-02T03:00:00Z", "endedAt": "2026-01-02T03:01:15Z"}
    wire.runs[RUN] = run_view(**times, **end)
    done = mantik("runs", "wait", "train")
    assert (done.code, done.out) == (code, "")
    assert done.err.splitlines()[-1] == sentence


def test_wait_gives_up_with_its_own_code(mantik: Mantik) -> None:
    done = mantik("runs", "wait", RUN, "--timeout", "0")
    assert (done.code, done.err) == (
        12,
        "Run is RUNNING.\nError: The run is RUNNING after 0 s.\nNext: It goes on.\n",
    )


def test_wait_prints_the_run_on_request(mantik: Mantik, wire: Wire) -> None:
    wire.states = ["FINISHED"]
    assert yaml.safe_load(mantik("runs", "wait", RUN, "-o", "yaml").out)["state"] == "FINISHED"


def test_ctrl_c_leaves_the_run_alone(mantik: Mantik, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[LogEvent]:
        yield LogEvent("log", "0.5", "epoch")
        raise KeyboardInterrupt

    monkeypatch.setattr(Runs, "logs", interrupted)
    done = mantik("runs", "logs", RUN, "--project-id", identifier(2))
    assert (done.code, done.out) == (130, "epoch")
    assert done.err == (
        "\nStopped following; the run goes on.\n"
        f"  To follow it again: mantik runs logs {RUN} --since 0.5 --project-id {identifier(2)}\n"
        f"  To cancel it:       mantik runs cancel {RUN} --project-id {identifier(2)}\n"
    )
    assert wire.count("POST", "/cancel") == 0


def test_a_real_ctrl_c(mantik: Mantik, wire: Wire) -> None:
    wire.streams = [[("log", "0.5", {"text": "epoch\n"}), ("hang", "0.5", {})]]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", "runs", "logs", RUN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell inherit an ignored SIGINT; a terminal's child does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "epoch\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.startswith("Stopped following; the run goes on.\n")
    assert "Traceback" not in err


def test_a_reader_that_leaves_is_no_error(mantik: Mantik, wire: Wire) -> None:
    wire.log, wire.piece = b"line\n" * 100_000, 100_000
    command = f"{sys.executable} -m gateway.cli.main runs logs {RUN} --no-follow | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("line\n", "")


def test_stored_logs(mantik: Mantik, wire: Wire) -> None:
    wire.log = "eins\nzwei ü\ndrei\n".encode()
    assert mantik("runs", "logs", RUN, "--no-follow").out == wire.log.decode()
    assert mantik("runs", "logs", RUN, "--no-follow", "-n", "1").out == "drei\n"
    assert mantik("runs", "logs", RUN, "--no-follow", "--since", "0.5").out == "zwei ü\ndrei\n"
    done = mantik("runs", "logs", RUN, "--since", "yesterday")
    assert (done.code, done.err) == (
        2,
        "Error: yesterday is no position in a log.\nNext: Give <generation>.<offset>, as it was printed, e.g. 0.5120\n",
    )
    assert "Give --tail or --since" in mantik("runs", "logs", RUN, "--since", "0.5", "--tail", "1").err


def test_a_list_in_80_columns(mantik: Mantik, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    wire.runs[identifier(20)] = run_view(runId=identifier(20), name="n" * 60, state="SUBMITTING")
    done = mantik("runs", "list", terminal=True)
    assert max(map(len, done.out.splitlines())) == 80
    assert mantik("runs", "list").out.splitlines()[0].split() == ["NAME", "STATE", "CREATED", "TOOK", "ID"]
    assert "n" * 60 in mantik("runs", "list").out
    assert mantik("runs", "list", "--state", "running", "-o", "json").out.count("runId") == 1
    done = mantik("runs", "list", "-n", "1")
    assert len(done.out.splitlines()) == 2
    assert done.err == "There are more: --limit 2\n"
    assert mantik("runs", "list", "--text", "zzz").err == "No run fits.\n"
    wire.runs.clear()
    assert mantik("runs", "list").err == "There is no run yet. To submit one: mantik runs submit --help\n"


def test_a_wide_list(mantik: Mantik, wire: Wire) -> None:
    wire.runs[RUN] = run_view(siteName="cluster", computeBudgetAccount="proj1", job=JOB)
    assert mantik("runs", "list", "--wide").out.splitlines()[1].split() == (
        ["train", "RUNNING", "3m", "ago", "cluster", "proj1", "4711", "n1,n2", "ada", RUN]
    )


JOB = {
    "siteJobId": "4711",
    "attempt": 1,
    "siteState": "RUNNING",
    "pendingReason": "",
    "restarts": 0,
    "account": "proj1",
    "nodes": "n1,n2",
    "usage": {"elapsed": "00:01:00"},
    "seenAt": None,
}


def test_describe(mantik: Mantik, wire: Wire) -> None:
    phase = {"state": "CREATED", "enteredAt": "2026-01-02T03:04:05Z", "seconds": 65.0}
    wire.runs[RUN] = run_view(
        computeBudgetAccount="proj1",
        job=JOB,
        config={"Resources": {"Queue": "batch"}},
        mlflowParameters={"alpha": 0.1},
        phases=[phase, {"state": "RUNNING", "enteredAt": "2026-01-02T03:05:10Z", "seconds": 5.0}],
        conditions=[{"name": "LOST_CONTACT", "since": "2026-01-02T03:05:11Z", "text": "No route."}],
        warnings=["Watch out."],
        script="#!/bin/bash\nexit",
        logSize=2048,
    )
    done = mantik("runs", "describe", "train", "--events")
    assert done.out == (
        f"""\
Name:         train
Id:           {RUN}
State:        RUNNING
Created by:   ada
Experiment:   {EXPERIMENT}
Code:         {CODE}
Branch:       main
Commit:       c0ffee
MLproject:    MLproject
Entry point:  main
Account:      proj1
Job:          4711 (RUNNING), attempt 1
Nodes:        n1,n2
Used elapsed: 00:01:00
Log:          2.0 KiB

Lifecycle:
  STATE    SINCE                    FOR
  CREATED  2026-01-02 03:04:05 UTC  1m05s
  RUNNING  2026-01-02 03:05:10 UTC  5.0s

Conditions:
  LOST_CONTACT since 2026-01-02 03:05:11 UTC: No route.

Parameters:
  alpha: 0.1

Warnings:
  Watch out.

Config:
  Resources:
    Queue: batch

Events:
  TIME                     EVENT                 BY   WHAT
  2026-01-02 03:04:05 UTC  -> CREATED            ada  it is CREATED
  2026-01-02 03:04:05 UTC  CREATED -> PREPARING       it is PREPARING
  2026-01-02 03:04:05 UTC  PREPARING -> RUNNING       it is RUNNING
"""
    )
    assert mantik("runs", "describe", RUN, "--script").out == "#!/bin/bash\nexit"
    found = json.loads(mantik("runs", "describe", RUN, "--events", "-o", "json").out)
    assert [e["toState"] for e in found["events"]] == ["CREATED", "PREPARING", "RUNNING"]
    assert "  exit\n" in mantik("runs", "describe", RUN, "-o", "yaml").out


def test_describe_says_how_to_see_what_is_in_mlflow(mantik: Mantik, wire: Wire) -> None:
    assert "mlflow" not in mantik("runs", "describe", RUN).out
    wire.runs[RUN]["mlflowRunId"] = "abc123"
    base = wire.url.removesuffix("/api/v1")
    assert mantik("runs", "describe", RUN).out.endswith(
        f"""
Metrics, models and files, with the mlflow program:
  export MLFLOW_TRACKING_URI={base}/tracking/ MLFLOW_TRACKING_TOKEN=$(mantik tokens create mlflow)
  mlflow runs describe --run-id abc123
"""
    )


def test_describe_without_script(mantik: Mantik) -> None:
    assert mantik("runs", "describe", RUN, "--script").code == 5


def test_cancel_and_delete(mantik: Mantik, wire: Wire) -> None:
    done = mantik("runs", "cancel", RUN)
    assert (done.out, done.err) == ("RUNNING\n", f"Its end is asked for. To wait for it: mantik runs wait {RUN}\n")
    done = mantik("runs", "delete", RUN)
    assert (done.code, done.err) == (
        6,
        "Error: The run has not ended.\nNext: Cancel it first, or delete it with cancel=true.\n",
    )
    done = mantik("runs", "delete", RUN, "--cancel", given="n\n", terminal=True)
    assert (done.code, RUN in wire.runs) == (1, True)
    assert mantik("runs", "delete", RUN, "--cancel").err == "Deleted run train.\n"
    assert wire.runs == {}
