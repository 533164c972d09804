"""What a real UNICORE/X tells by itself reaches a whole gateway, which then needs no sweep to know of an end."""

from pathlib import Path

import pytest

from tests.site_fixtures import UnicoreSite
from tests.whole.command_line import mantik
from tests.whole.gateway_process import GatewayProcess
from tests.whole.workshop import MLPROJECT, Workshop, make_repository

pytestmark = [pytest.mark.unicore, pytest.mark.timeout(600)]
SWEEP_SECONDS = "600"


def test_an_end_is_known_long_before_the_next_sweep(unicore_site: UnicoreSite, folder: Path) -> None:
    name = f"told-{unicore_site.name}"
    tracking = {"MANTIK_TRACKING_URI": "http://127.0.0.1:9", "MANTIK_TRACKING_TIMEOUT_SECONDS": "0.2"}
    gateway = GatewayProcess(folder / name, **tracking)
    gateway.environment["MANTIK_PUBLIC_URL"] = gateway.url
    try:
        gateway.start(tracking=False)
        workshop = Workshop(gateway, make_repository(folder / f"{name}-code", {"MLproject": MLPROJECT}))
        run_id = workshop.submit(
            connectionId=_connected(gateway, folder / f"{name}-home", unicore_site),
            computeBudgetAccount="proj1",
            backendConfig={"UnicoreApiUrl": unicore_site.url, "Resources": {"Queue": "batch", "Runtime": "5m"}},
        )
        run = workshop.ended(run_id, seconds=60)
        assert run["state"] == "FINISHED", workshop.story(run_id)
        assert workshop.log(run_id) == b"hello\n"
        assert "/notifications/" not in str(run)
    finally:
        gateway.stop()


def _connected(gateway: GatewayProcess, home: Path, there: UnicoreSite) -> str:
    """The id of a connection to a site that is swept every ten minutes."""
    rare = ("--poll-seconds-min", SWEEP_SECONDS, "--poll-seconds-max", SWEEP_SECONDS)
    site = ("sites", "create", "unicore", "--kind", "unicore", "--url", there.url, "--tls-ca", there.ca, *rare)
    login = ("--auth-method", "Username-Password", "--login-name", there.user, "--secret-stdin", "--no-check")
    connection = ("connections", "create", "unicore", "--site", "unicore", *login)
    for words, stdin in ((site, None), (connection, there.password)):
        done = mantik(gateway, home, *words, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
    user = gateway.call("GET", "/users/me")["userId"]
    items = gateway.call("GET", f"/users/{user}/settings/connections")["items"]
    return str(next(item["connectionId"] for item in items if item["connectionName"] == "unicore"))
