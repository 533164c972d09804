"""A run fails, and the one who asked is told, whatever happened to the gateway and the receiver meanwhile."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.gateway.subscriptions.receiver import Receiver, receiving
from tests.whole.command_line import mantik
from tests.whole.gateway_process import GatewayProcess, running, wait_for
from tests.whole.workshop import MLPROJECT, Workshop, make_repository


def _subscribe(gateway: GatewayProcess, folder: Path, receiver: Receiver) -> str:
    """By the command line, as a user does; the secret."""
    done = mantik(gateway, folder, "notifications", "add", "hook", "--url", receiver.url, "--event", "RUN_FAILED")
    assert done.returncode == 0, done.stderr
    tested = mantik(gateway, folder, "notifications", "test", "hook")
    assert (tested.returncode, tested.stdout) == (0, "Delivered: yes\nStatus:    204\n"), tested.stderr
    receiver.requests.clear()
    return done.stderr.split("Secret, shown only now: ")[1].splitlines()[0]


@pytest.mark.timeout(600)
def test_a_run_that_fails_is_told_though_gateway_and_receiver_were_away(folder: Path, on: dict[str, str]) -> None:
    unique = secrets.token_hex(4)
    home, data = folder / f"home-{unique}", folder / f"tells-{unique}"
    with (
        receiving() as receiver,
        running(data, tracking=False, MANTIK_ALLOWED_WEBHOOK_HOSTS="127.0.0.1", **on) as gateway,
    ):
        secret = _subscribe(gateway, home, receiver)
        workshop = Workshop(gateway, make_repository(folder / f"code-{unique}", {"MLproject": MLPROJECT}))
        receiver.status = 500
        run_id = workshop.submit(name="train", entryPoint="fails", connectionId=workshop.local())
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
