"""The example of the docs, as a user runs it: by the command line, on the real Slurm, with an account."""

import json
from pathlib import Path

import pytest

from tests.whole.command_line import assert_trained, example, mantik, training_venv
from tests.whole.conftest import Lab
from tests.whole.nights import a_night


@pytest.mark.slurm
@pytest.mark.mlflow
@pytest.mark.timeout(600)
def test_the_example_on_slurm_by_the_command_line(lab: Lab, folder: Path) -> None:
    words = {
        "login.example.org": lab.there.ssh_host,
        "Port: 22": f"Port: {lab.there.ssh_port}",
        "/path/on/the/site/to/venv": training_venv(),
    }
    repository = example(folder / "digits", "mantik-ssh.yaml", words)
    gateway = lab.workshop.gateway

    project = ("--project-id", lab.workshop.project)
    for command in (("code", "create", "digits", str(repository)), ("experiments", "create", "digits")):
        made = mantik(gateway, folder, *command, *project)
        assert made.returncode == 0, made.stderr
    submitted = mantik(
        gateway,
        folder,
        *("runs", "submit", "MLproject", "--name", "digits", "--entry-point", "main", *project),
        *("--experiment-repository-id", "digits", "--code-repository-id", "digits", "--branch", "main"),
        *("--connection-id", lab.connection, "--compute-budget-account", "budget-a"),
        *("--backend-config", str(repository / "mantik-ssh.yaml"), "-P", "epochs=3", "--follow"),
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "epoch   3/3" in submitted.stdout
    assert "Run is RUNNING." in submitted.stderr

    listed = json.loads(mantik(gateway, folder, "runs", "list", *project, "-o", "json").stdout)
    run = next(r for r in listed if r["name"] == "digits")
    assert [row[1] for row in lab.billed(run["runId"])] == ["budget-a"]

    assert_trained(gateway, run["mlflowRunId"], epochs=3)
    a_night(gateway, folder, lab.workshop.project, "digits", epochs=3)
