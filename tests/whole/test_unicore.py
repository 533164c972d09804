"""A real UNICORE/X of each version, the whole way: by the command line alone, from the site to the trained model."""

import json
import time
from pathlib import Path

import pytest

from tests.site_fixtures import UnicoreSite
from tests.whole.command_line import assert_trained, example, mantik, training_venv
from tests.whole.gateway_process import GatewayProcess, running
from tests.whole.nights import a_night
from tests.whole.workshop import MLPROJECT, Workshop, make_repository

NIGHTLY = "11.0.0"
"""The way of a schedule to its job is the same for all versions, and takes a minute."""
pytestmark = [pytest.mark.unicore, pytest.mark.mlflow, pytest.mark.timeout(600)]


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
    assert_trained(gateway, run["mlflowRunId"], epochs=3)
    if unicore_site.version == NIGHTLY:
        a_night(gateway, folder, project[1], "digits", epochs=3)


def test_killed_at_any_moment(unicore_site: UnicoreSite, folder: Path) -> None:
    """The code appends to a marker each time it runs; the gateway is killed a little later in each run's life."""
    name = f"killed-{unicore_site.name}"
    settings = {"MANTIK_TRACKING_URI": "http://127.0.0.1:9", "MANTIK_TRACKING_TIMEOUT_SECONDS": "0.2"}
    with running(folder / name, tracking=False, **settings) as gateway:
        workshop = Workshop(gateway, make_repository(folder / f"{name}-code", {"MLproject": MLPROJECT}))
        user = User(gateway, folder / f"{name}-home")
        connection = user.connects(unicore_site, unicore_site.password)
        found = gateway.call("GET", workshop.connections)["items"]
        connection_id = next(c["connectionId"] for c in found if c["connectionName"] == connection)
        config = {"UnicoreApiUrl": unicore_site.url, "Resources": {"Queue": "batch", "Runtime": "5m"}}
        runs = []
        for n in range(6):
            marker = Path(unicore_site.scratch) / f"marker-{folder.name}-{n}"
            run_id = workshop.submit(
                entryPoint="marks",
                mlflowParameters={"marker": str(marker)},
                connectionId=connection_id,
                computeBudgetAccount="proj1",
                backendConfig=config,
            )
            time.sleep(0.2 * n)  # the moment of the kill is the point of this test
            gateway.kill()
            gateway.start(tracking=False)
            runs.append((run_id, marker))
        for run_id, marker in runs:
            run = workshop.ended(run_id, seconds=150)
            assert run["state"] == "FINISHED", workshop.story(run_id)
            assert marker.read_text() == "ran\n", workshop.story(run_id)
            assert workshop.log(run_id) == b"done\n"
            marker.unlink()


def test_a_certificate_that_is_not_trusted(gateway: GatewayProcess, unicore_site: UnicoreSite, folder: Path) -> None:
    """Refused with what to give; and where its check was switched off, every listing says so."""
    user = User(gateway, folder)
    strict, lax = f"strict-{unicore_site.name}", f"lax-{unicore_site.name}"
    login = ("--auth-method", "Username-Password", "--login-name", unicore_site.user, "--secret-stdin", "--no-check")
    for name, how in ((strict, ()), (lax, ("--no-verify-tls",))):
        user.does("sites", "create", name, "--kind", "unicore", "--url", unicore_site.url, *how)
        user.does("connections", "create", name, "--site", name, *login, stdin=unicore_site.password)
    refused = mantik(gateway, folder, "connections", "check", strict)
    assert refused.returncode != 0
    assert "is not trusted" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "certificate of this site is not checked" in user.does("connections", "check", lax)
    assert "certificate not checked" in user.does("connections", "show", lax)
    (line,) = (line for line in user.does("connections", "list").splitlines() if line.startswith(lax))
    assert "certificate not checked" in line
