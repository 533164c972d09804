"""A client against a gateway's wire on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client import Client, Retries
from tests.gateway.client.wire import Server, Wire, example, serving

QUICK = Retries(delays=(0.0, 0.0, 0.0))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def wire(server: Server, monkeypatch: pytest.MonkeyPatch) -> Wire:
    for name in ("MANTIK_API_URL", "MANTIK_USERNAME", "MANTIK_PASSWORD", "MANTIK_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("gateway.client.logs._CUT_SECONDS", (0.0,))
    monkeypatch.setattr("gateway.client.run_flows._FIRST_LOOK", 0.0)
    monkeypatch.setattr("gateway.client.run_flows._SLOWEST_LOOK", 0.0)
    return server.serve(example())


@pytest.fixture
def client(wire: Wire, tmp_path: Path) -> Iterator[Client]:
    with Client(
        wire.url, project="demo", username="ada", password=wire.password, retries=QUICK, token_directory=tmp_path
    ) as made:
        yield made
