"""A real MLflow server for the session, and a house of two users over it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from fastapi import FastAPI

from gateway.db.session import Database
from gateway.tracking.client import TrackingClient
from gateway.tracking.server import MlflowServer
from tests.gateway.tracking.house import Home, a_home, application, move_in


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MlflowServer]:
    async with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
        assert await server.ready(), server.log.read_text()
        yield server


@pytest.fixture
async def client(mlflow_server: MlflowServer) -> AsyncIterator[TrackingClient]:
    made = TrackingClient(mlflow_server.uri, seconds=30.0, socket=mlflow_server.socket)
    yield made
    await made.close()


@dataclass
class House:
    db: Database
    client: TrackingClient
    app: FastAPI
    a: Home
    b: Home


@pytest.fixture
async def house(database: Database, client: TrackingClient) -> House:
    return House(
        database,
        client,
        application(database, client),
        await move_in(database, client, "a"),
        await move_in(database, client, "b"),
    )


@pytest.fixture
async def house_without_mlflow(database: Database) -> AsyncIterator[House]:
    """Where nothing asks MLflow."""
    client = TrackingClient("http://127.0.0.1:1")
    homes = [await a_home(database, name) for name in ("a", "b")]
    yield House(database, client, application(database, client), *homes)
    await client.close()
