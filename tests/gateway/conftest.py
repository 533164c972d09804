"""Fixtures of the gateway: an application over a fresh database, spoken to without a network."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from backends import registry
from gateway.api.app import create_app
from gateway.context import Context
from gateway.db.session import Database
from gateway.git import GitStore
from gateway.logs.blobs import DirectoryBlobs
from gateway.mlproject import ProjectReader
from gateway.runs.plan import Planner
from gateway.secrets.vault import Vault
from gateway.settings import Settings
from gateway.tracking.client import TrackingClient
from gateway.users.passwords import Passwords
from gateway.users.tokens import AccessTokens
from tests.gateway.fake_mlflow import FakeMlflow
from tests.gateway.world import World


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", tracking_uri="http://mlflow.test", tracking_timeout_seconds=1.0)


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


@pytest.fixture
async def context(database: Database, settings: Settings, mlflow: FakeMlflow) -> AsyncIterator[Context]:
    vault = Vault([b"v" * 32])
    projects = ProjectReader()
    tracking = TrackingClient(
        settings.tracking_uri, httpx.AsyncClient(transport=httpx.MockTransport(mlflow)), seconds=1.0
    )
    yield Context(
        settings=settings,
        db=database,
        vault=vault,
        access=AccessTokens([b"s" * 32]),
        blobs=DirectoryBlobs(settings.data_dir / "blobs"),
        tracking=tracking,
        planner=Planner(database, vault, GitStore(settings.data_dir / "git"), projects, registry.kind),
        passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
    )
    projects.close()
    await tracking.close()


@pytest.fixture
def world(context: Context) -> World:
    return World(context)


@pytest.fixture
def app(context: Context) -> FastAPI:
    return create_app(context)


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the application; a fault inside it comes back as the answer a user would get."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test/api/v1") as client:
        yield client
