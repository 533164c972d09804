"""A schedule made by the command line fires at its minute, once, whatever happens to the gateway at that moment."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.whole.command_line import mantik
from tests.whole.gateway_process import GatewayProcess, running, wait_for
from tests.whole.workshop import MLPROJECT, Workshop, make_repository

SOON = 20
"""Seconds: less than that to the next full minute, and the one after it is taken."""


class Desk:
    """A workshop with a finished run, whose code appends to a marker, and the command line of its user."""

    def __init__(self, gateway: GatewayProcess, folder: Path) -> None:
        unique = secrets.token_hex(4)
        self.gateway, self.home = gateway, folder / f"home-{unique}"
        self.workshop = Workshop(gateway, make_repository(folder / f"code-{unique}", {"MLproject": MLPROJECT}))
        self.marker = folder / f"marker-{unique}"
        self.workshop.ended(
            self.workshop.submit(
                name="train",
                entryPoint="marks",
                mlflowParameters={"marker": str(self.marker)},
                connectionId=self.workshop.local(),
            )
        )
        assert self.marker.read_text() == "ran\n"

    def mantik(self, *words: str) -> str:
        done = mantik(self.gateway, self.home, *words, "--project-id", self.workshop.project)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def schedule(self) -> datetime:
        """One that fires at a minute to come, and that minute."""
        at = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        if at - datetime.now(UTC) < timedelta(seconds=SOON):
            at += timedelta(minutes=1)
        cron = f"{at.minute} {at.hour} {at.day} {at.month} *"
        self.mantik("schedules", "create", "nightly", "--run", "train", "--cron", cron, "--zone", "UTC")
        return at

    def firings(self) -> list[dict[str, Any]]:
        (schedule,) = self.gateway.call("GET", self.workshop.path("schedules"))["items"]
        found: list[dict[str, Any]] = self.gateway.call(
            "GET", self.workshop.path("schedules", schedule["scheduleId"], "firings")
        )["items"]
        return found

    def ran_once(self, at: datetime) -> None:
        (firing,) = wait_for(self.firings, 100)
        assert datetime.fromisoformat(firing["nominalAt"]) == at
        run = self.workshop.ended(firing["runId"])
        assert (run["state"], run["commit"]) == ("FINISHED", self.workshop.run(self._first())["commit"])
        assert self.marker.read_text() == "ran\nran\n"
        assert len(self._runs()) == 2
        assert f"{firing['runId']}" in self.mantik("schedules", "history", "nightly")

    def _runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.gateway.call("GET", self.workshop.path("runs"))["items"]
        return found

    def _first(self) -> str:
        return str(self._runs()[-1]["runId"])


def _wait_until(at: datetime, then: Callable[[], object]) -> None:
    """The minute itself is the point of these tests."""
    time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))
    then()


@pytest.mark.timeout(600)
def test_fires_at_its_minute_and_once_though_the_gateway_is_killed_at_it(folder: Path, on: dict[str, str]) -> None:
    """Killed at the minute, and again and again while the firing and its run are made."""
    with running(folder / f"fires-{secrets.token_hex(4)}", tracking=False, **on) as gateway:
        desk = Desk(gateway, folder)
        at = desk.schedule()
        _wait_until(at, gateway.kill)
        for pause in (0.0, 0.3, 0.6):
            gateway.start(tracking=False)
            time.sleep(pause)  # a little later each time: before the row, after it, while its run is made
            gateway.kill()
        gateway.start(tracking=False)
        desk.ran_once(at)


@pytest.mark.postgres
@pytest.mark.timeout(600)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_gateways_fire_once(folder: Path, on: dict[str, str]) -> None:
    unique = secrets.token_hex(4)
    with (
        running(folder / f"one-{unique}", tracking=False, **on) as gateway,
        running(folder / f"other-{unique}", tracking=False, **on),
    ):
        desk = Desk(gateway, folder)
        desk.ran_once(desk.schedule())
