"""A run fails, and the one who asked is told, whatever happened to the gateway and the receiver meanwhile."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.gateway.subscriptions.receiver import Receiver, receiving
from tests.whole.command_line import mantik
from tests.whole.gateway_process import GatewayProcess, running, wait_for
from tests.whole.workshop import MLPROJECT, Workshop, make_repository

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


@pytest.fixture
def on(database_url: str) -> dict[str, str]:
    """Settings of a gateway on each kind of database, without tracking, that may tell this machine."""
    return {
        "MANTIK_TRACKING_URI": "http://127.0.0.1:9",
        "MANTIK_TRACKING_TIMEOUT_SECONDS": "0.2",
        "MANTIK_LEASE_SECONDS": "3",
        "MANTIK_LOCAL_OPEN": "true",
        "MANTIK_SECRET_KEYS": KEY,
        "MANTIK_DATABASE_URL": database_url,
        "MANTIK_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    }


def _subscribe(gateway: GatewayProcess, folder: Path, receiver: Receiver) -> str:
    """By the command line, as a user does; the secret."""
    done = mantik(gateway, folder, "notifications", "add", "hook", "--url", receiver.url, "--event", "RUN_FAILED")
    assert done.returncode == 0, done.stderr
    tested = mantik(gateway, folder, "notifications", "test", "hook")
    assert (tested.returncode, tested.stdout) == (0, "Delivered: yes\nStatus:    204\n"), tested.stderr
    receiver.requests.clear()
    return done.stderr.split("Secret, shown only now: ")[1].splitlines()[0]


def _local(gateway: GatewayProcess, workshop: Workshop) -> str:
    """This machine as a site; an embedded gateway has it by itself."""
    items = gateway.call("GET", workshop.connections)["items"]
    if items:
        return str(items[0]["connectionId"])
    site = gateway.call("POST", "/sites", {"name": "here", "kind": "local"})["siteId"]
    body = {"connectionName": "here", "connectionProvider": "Local", "authMethod": "None", "siteId": site}
    return str(gateway.call("POST", workshop.connections, body, check=False)["connectionId"])


@pytest.mark.timeout(600)
def test_a_run_that_fails_is_told_though_gateway_and_receiver_were_away(folder: Path, on: dict[str, str]) -> None:
    unique = secrets.token_hex(4)
    home, data = folder / f"home-{unique}", folder / f"tells-{unique}"
    with receiving() as receiver, running(data, tracking=False, **on) as gateway:
        secret = _subscribe(gateway, home, receiver)
        workshop = Workshop(gateway, make_repository(folder / f"code-{unique}", {"MLproject": MLPROJECT}))
        receiver.status = 500
        run_id = workshop.submit(name="train", entryPoint="fails", connectionId=_local(gateway, workshop))
        workshop.ended(run_id)
        gateway.kill()
        receiver.status = 204
        gateway.start(tracking=False)
        (request, *_) = wait_for(lambda: [r for r in receiver.requests if r.said["runId"] == run_id], 120)
        request.verify(secret, datetime.now(UTC))
        assert (request.said["event"], request.said["reason"]) == ("RUN_FAILED", "EXIT_CODE")
        assert b"echo to the log" not in request.body

        def delivered() -> bool:
            shown = mantik(gateway, home, "notifications", "deliveries", "hook")
            return "DELIVERED" in shown.stdout and "Run train of admin in project" in shown.stdout

        wait_for(delivered, 120)
        assert len({r.headers["webhook-id"] for r in receiver.requests}) == 1, "one message, however often it was sent"
