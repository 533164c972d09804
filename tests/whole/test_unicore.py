"""A real UNICORE/X of each version, the whole way: by the command line alone, from the site to the trained model."""

import json
from pathlib import Path

import httpx
import pytest

from tests.site_fixtures import UnicoreSite
from tests.whole.command_line import example, mantik, training_venv
from tests.whole.gateway_process import GatewayProcess, wait_for

pytestmark = [pytest.mark.unicore, pytest.mark.mlflow, pytest.mark.timeout(300)]


class User:
    """What a user types, and reads."""

    def __init__(self, gateway: GatewayProcess, home: Path) -> None:
        self.gateway = gateway
        self.home = home

    def does(self, *words: str, stdin: str | None = None) -> str:
        done = mantik(self.gateway, self.home, *words, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def connects(self, there: UnicoreSite, password: str) -> str:
        """Tells the gateway of the site, and logs in there; the connection's name."""
        name = f"unicore-{there.name}"
        quick = ("--poll-seconds-min", "0.3", "--poll-seconds-max", "1")
        self.does("sites", "create", name, "--kind", "unicore", "--url", there.url, "--tls-ca", there.ca, *quick)
        login = ("--auth-method", "Username-Password", "--login-name", there.user, "--secret-stdin", "--no-check")
        self.does("connections", "create", name, "--site", name, *login, stdin=password)
        return name


def test_the_example_by_the_command_line(gateway: GatewayProcess, unicore_site: UnicoreSite, folder: Path) -> None:
    user = User(gateway, folder)
    connection = user.connects(unicore_site, unicore_site.password)
    checked = user.does("connections", "check", connection)
    for known in ("proj1", "proj2", "batch", "devel"):
        assert known in checked

    words = {
        "https://unicore.example.org:8080/SITE/rest/core": unicore_site.url,
        "/path/on/the/site/to/venv": training_venv(),
        "  Modules: [Python]\n": "",
    }
    name = f"digits-{unicore_site.name}"
    repository = example(folder / name, "mantik-unicore.yaml", words)
    project = ("--project", user.does("projects", "create", name).strip())
    user.does("code", "create", "digits", str(repository), *project)
    user.does("experiments", "create", "digits", *project)
    submitted = mantik(
        gateway,
        folder,
        *("runs", "submit", "MLproject", "--name", "digits", "--branch", "main", *project),
        *("--experiment", "digits", "--code", "digits", "--connection", connection),
        *("--compute-budget-account", "proj2", "--backend-config", str(repository / "mantik-unicore.yaml")),
        *("-P", "epochs=3", "--follow"),
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "epoch   3/3" in submitted.stdout
    assert "Run is RUNNING." in submitted.stderr

    (run,) = json.loads(user.does("runs", "list", *project, "-o", "json"))
    assert (run["state"], run["exitCode"], run["computeBudgetAccount"]) == ("FINISHED", 0, "proj2")
    login = {"Authorization": gateway.http.headers["Authorization"]}
    address = f"{gateway.url}/tracking/api/2.0/mlflow/runs/get"

    def tracked() -> dict[str, dict[str, object]] | None:
        answer = httpx.get(address, params={"run_id": run["mlflowRunId"]}, headers=login).json()["run"]
        return answer if answer["info"]["status"] == "FINISHED" else None

    data = wait_for(tracked, 30)["data"]
    assert {m["key"] for m in data["metrics"]} >= {"loss", "accuracy"}
    assert {p["key"]: p["value"] for p in data["params"]}["epochs"] == "3"
