"""The night of a user: a schedule repeats a run at its minute, and what it trained is registered, loaded, led back."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.whole.command_line import assert_trained
from tests.whole.gateway_process import GatewayProcess, wait_for
from tests.whole.test_models import Desk, accuracy

SOON = timedelta(seconds=10)
"""Less than that to the next full minute, and the one after it is taken."""


def a_night(gateway: GatewayProcess, home: Path, project: str, run: str, *, epochs: int) -> None:
    """`run` is the name of a run that has finished."""
    desk = Desk(gateway, home, project)
    first = json.loads(desk.mantik("runs", "describe", run, "-o", "json"))
    at = (datetime.now(UTC) + timedelta(minutes=1) + SOON).replace(second=0, microsecond=0)
    when = f"{at.minute} {at.hour} {at.day} {at.month} *"
    desk.mantik("schedules", "create", f"nightly {run}", "--run", run, "--cron", when, "--zone", "UTC")

    firing = wait_for(lambda: _fired(desk, f"nightly {run}"), 100)
    assert datetime.fromisoformat(firing["nominalAt"]) == at
    desk.mantik("runs", "wait", firing["runId"])
    second = json.loads(desk.mantik("runs", "describe", firing["runId"], "-o", "json"))
    same = ("commit", "computeBudgetAccount", "connectionId", "entryPoint", "mlflowParameters")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert (second["state"], second["job"]["siteJobId"] != first["job"]["siteJobId"]) == ("FINISHED", True)
    assert_trained(gateway, second["mlflowRunId"], epochs=epochs)

    name = f"model of {run}"
    desk.mantik("models", "register", firing["runId"], "--name", name)
    model = json.loads(desk.mantik("models", "describe", name, "-o", "json"))
    assert accuracy(gateway, model["uri"]) > 0.5
    page = desk.mantik("models", "describe", name)
    for told in (firing["runId"], second["commit"], second["job"]["siteJobId"], second["computeBudgetAccount"]):
        assert told in page
    assert model["origin"]["cost"]["elapsedSeconds"] > 0


def _fired(desk: Desk, name: str) -> dict[str, Any] | None:
    firings = json.loads(desk.mantik("schedules", "history", name, "-o", "json"))
    return firings[0] if firings and firings[0]["runId"] else None
