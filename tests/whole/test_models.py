"""The model of the example of the docs: trained, registered by the command line, loaded, and led back to its origin."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.whole.command_line import example, mantik, training_venv
from tests.whole.gateway_process import GatewayProcess, wait_for
from tests.whole.workshop import Workshop, git

LOAD = """\
import sys, mlflow
from sklearn.datasets import load_digits
images, labels = load_digits(return_X_y=True)
found = mlflow.pyfunc.load_model(sys.argv[1]).predict(images / 16.0)
print((found == labels).mean())
"""


class Desk:
    """The command line of a user in one project."""

    def __init__(self, gateway: GatewayProcess, home: Path, project: str) -> None:
        self.gateway, self.home, self.project = gateway, home, project

    def mantik(self, *words: str, code: int = 0) -> str:
        done = mantik(self.gateway, self.home, *words, "--project-id", self.project)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout.strip() if code == 0 else done.stderr


def accuracy(gateway: GatewayProcess, uri: str) -> float:
    """What a program gets that loads the model through the gateway, as MLflow's own client does."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "MLFLOW_TRACKING_URI": f"{gateway.url}/tracking/",
        "MLFLOW_TRACKING_TOKEN": str(gateway.http.headers["Authorization"]).removeprefix("Bearer "),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [f"{training_venv()}/bin/python", "-c", LOAD, uri]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.strip().splitlines()[-1])


@contextmanager
def stopped_mlflow(gateway: GatewayProcess) -> Iterator[None]:
    """MLflow hangs meanwhile."""
    group = int((gateway.data / "mlflow" / "mlflow.pid").read_text().split()[0])
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


@pytest.mark.mlflow
@pytest.mark.timeout(600)
def test_a_model_is_registered_loads_and_leads_back(workshop: Workshop, folder: Path) -> None:
    gateway = workshop.gateway
    here = {"Local: {}": f"Local: {{}}\nEnvironment:\n  Python: {training_venv()}\n"}
    repository = example(folder / "digits-models", "mantik-local.yaml", here)
    desk = Desk(gateway, folder, workshop.project)
    for kind in (("code", "create", "digits-models", str(repository)), ("experiments", "create", "digits-models")):
        desk.mantik(*kind)
    desk.mantik(
        *("runs", "submit", "MLproject", "--name", "digits-models", "--branch", "main", "-P", "epochs=3"),
        *("--experiment-repository-id", "digits-models", "--code-repository-id", "digits-models"),
        *("--connection-id", workshop.local(), "--backend-config", str(repository / "mantik-local.yaml")),
        *("--compute-budget-account", "my-budget", "--follow"),
    )
    run = json.loads(desk.mantik("runs", "describe", "digits-models", "-o", "json"))
    model_id = desk.mantik("models", "register", "digits-models", "--name", "digits")
    taken = desk.mantik("models", "register", run["runId"], "--name", "digits", code=6)
    assert "name: this project has a model 'digits' already; choose another name." in taken

    model = json.loads(desk.mantik("models", "describe", "digits", "-o", "json"))
    assert (model["modelId"], model["status"], model["runId"]) == (model_id, "REGISTERED", run["runId"])
    assert model["uri"] == f"models:/{workshop.project}.digits/1"
    page = desk.mantik("models", "describe", "digits")
    for told in (run["runId"], git(repository, "rev-parse", "HEAD"), run["job"]["siteJobId"], "my-budget", "local"):
        assert told in page
    assert "GPU hours:  unknown" in page
    assert model["origin"]["cost"]["elapsedSeconds"] > 0

    assert accuracy(gateway, model["uri"]) > 0.8
    place = Path(desk.mantik("models", "download", "digits", "--to", str(folder / "fetched")))
    assert accuracy(gateway, str(place)) > 0.8

    desk.mantik("models", "rename", "digits", "digits two")
    assert accuracy(gateway, f"models:/{workshop.project}.digits two/1") > 0.8
    desk.mantik("models", "unregister", "digits two", "--yes")
    assert json.loads(desk.mantik("models", "list", "-o", "json")) == []

    desk.mantik("models", "register", "digits-models", "--name", "digits", "--artifact-path", "model")
    with stopped_mlflow(gateway):
        desk.mantik("models", "unregister", "digits", "--yes")
        (waits,) = json.loads(desk.mantik("models", "list", "-o", "json"))
        assert waits["status"] == "UNREGISTERING"
    wait_for(lambda: json.loads(desk.mantik("models", "list", "-o", "json")) == [], 120)
