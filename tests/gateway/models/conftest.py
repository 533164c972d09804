"""A real MLflow server for the session, and a shop over it."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from gateway.db.session import Database
from gateway.tracking.client import TrackingClient
from gateway.tracking.server import MlflowServer
from tests.gateway.models.faults import FaultyTransport
from tests.gateway.models.shop import Shop, a_shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MlflowServer]:
    async with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
        assert await server.ready(), server.log.read_text()
        yield server


@pytest.fixture
def faults(mlflow_server: MlflowServer) -> FaultyTransport:
    return FaultyTransport(mlflow_server.transport())


@pytest.fixture
async def client(mlflow_server: MlflowServer, faults: FaultyTransport) -> AsyncIterator[TrackingClient]:
    made = TrackingClient(mlflow_server.uri, httpx.AsyncClient(transport=faults, timeout=None), seconds=30.0)
    yield made
    await made.close()


@pytest.fixture
async def shop(database: Database, client: TrackingClient, faults: FaultyTransport) -> Shop:
    made = await a_shop(database, client, faults)
    faults.heal()
    return made
