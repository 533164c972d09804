"""The command line as a user has it: a process of its own, logged in by its environment."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.whole.conftest import EXAMPLE
from tests.whole.gateway_process import PASSWORD, GatewayProcess, wait_for
from tests.whole.workshop import git

SITES = Path(__file__).parents[1] / "sites"


def mantik(
    gateway: GatewayProcess, home: Path, *words: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MANTIK_", "MLFLOW_"))} | {
        "MANTIK_API_URL": f"{gateway.url}/api/v1",
        "MANTIK_USERNAME": "admin",
        "MANTIK_PASSWORD": PASSWORD,
        "XDG_STATE_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_DATA_HOME": str(home),
    }
    command = [sys.executable, "-m", "gateway.cli.main", *words]
    return subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, check=False, timeout=300
    )


def training_venv() -> str:
    """A virtual environment with MLflow and scikit-learn, as a user has one on the site."""
    done = subprocess.run([SITES / "training-venv", "up"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def example(repository: Path, config: str, words: Mapping[str, str]) -> Path:
    """The example of the docs as a git repository; in the config named, what a user fills in is replaced."""
    repository.mkdir()
    for file in EXAMPLE.iterdir():
        (repository / file.name).write_text(file.read_text())
    text = (EXAMPLE / config).read_text()
    for written, ours in words.items():
        assert written in text
        text = text.replace(written, ours)
    (repository / config).write_text(text)
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "digits")
    return repository


def assert_trained(gateway: GatewayProcess, mlflow_run_id: str, *, epochs: int) -> None:
    """MLflow, through the gateway, shows the example's run as finished, with what it logged."""
    login = {"Authorization": gateway.http.headers["Authorization"]}
    address = f"{gateway.url}/tracking/api/2.0/mlflow/runs/get"

    def tracked() -> dict[str, dict[str, object]] | None:
        answer = httpx.get(address, params={"run_id": mlflow_run_id}, headers=login).json()["run"]
        logged = {metric["key"] for metric in answer["data"].get("metrics", ())}
        return answer if answer["info"]["status"] == "FINISHED" and logged >= {"loss", "accuracy"} else None

    data = wait_for(tracked, 60)["data"]
    assert {p["key"]: p["value"] for p in data["params"]}["epochs"] == str(epochs)
