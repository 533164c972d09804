"""The example of the docs, as a user runs it: by the command line, on the real Slurm, with an account."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.whole.conftest import EXAMPLE, Lab
from tests.whole.gateway_process import PASSWORD, wait_for
from tests.whole.workshop import git

SITES = Path(__file__).parents[1] / "sites"


def mantik(lab: Lab, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MANTIK_", "MLFLOW_"))} | {
        "MANTIK_API_URL": f"{lab.workshop.gateway.url}/api/v1",
        "MANTIK_USERNAME": "admin",
        "MANTIK_PASSWORD": PASSWORD,
        "XDG_STATE_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_DATA_HOME": str(home),
    }
    command = [sys.executable, "-m", "gateway.cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=170)


@pytest.mark.slurm
@pytest.mark.mlflow
@pytest.mark.timeout(300)
def test_the_example_on_slurm_by_the_command_line(lab: Lab, folder: Path) -> None:
    venv = subprocess.run([SITES / "training-venv", "up"], capture_output=True, text=True, check=True).stdout.strip()
    repository = folder / "digits"
    repository.mkdir()
    for file in EXAMPLE.iterdir():
        (repository / file.name).write_text(file.read_text())
    config = (EXAMPLE / "mantik-ssh.yaml").read_text()
    for written, ours in (
        ("login.example.org", lab.there.ssh_host),
        ("Port: 22", f"Port: {lab.there.ssh_port}"),
        ("/path/on/the/site/to/venv", venv),
    ):
        assert written in config
        config = config.replace(written, ours)
    (repository / "mantik-ssh.yaml").write_text(config)
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "digits")

    project = ("--project-id", lab.workshop.project)
    for words in (("code", "create", "digits", str(repository)), ("experiments", "create", "digits")):
        made = mantik(lab, folder, *words, *project)
        assert made.returncode == 0, made.stderr
    submitted = mantik(
        lab,
        folder,
        *("runs", "submit", "MLproject", "--name", "digits", "--entry-point", "main", *project),
        *("--experiment-repository-id", "digits", "--code-repository-id", "digits", "--branch", "main"),
        *("--connection-id", lab.connection, "--compute-budget-account", "budget-a"),
        *("--backend-config", str(repository / "mantik-ssh.yaml"), "-P", "epochs=3", "--follow"),
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "epoch   3/3" in submitted.stdout
    assert "Run is RUNNING." in submitted.stderr

    listed = json.loads(mantik(lab, folder, "runs", "list", *project, "-o", "json").stdout)
    run = next(r for r in listed if r["name"] == "digits")
    assert [row[1] for row in lab.billed(run["runId"])] == ["budget-a"]

    login = {"Authorization": lab.workshop.gateway.http.headers["Authorization"]}
    address = f"{lab.workshop.gateway.url}/tracking/api/2.0/mlflow/runs/get"

    def tracked() -> dict[str, dict[str, object]] | None:
        answer = httpx.get(address, params={"run_id": run["mlflowRunId"]}, headers=login).json()["run"]
        return answer if answer["info"]["status"] == "FINISHED" else None

    data = wait_for(tracked, 30)["data"]
    assert {m["key"] for m in data["metrics"]} >= {"loss", "accuracy"}
    assert {p["key"]: p["value"] for p in data["params"]}["epochs"] == "3"
