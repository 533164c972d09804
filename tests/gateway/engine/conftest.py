"""A gateway's engine over the fake site and a fake MLflow; its clock of waits is turned by the tests."""

import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from backends import registry
from backends.fake import FakeKind, FakeSite
from gateway.context import Context
from gateway.engine import engine as engine_module
from gateway.git import GitStore
from gateway.git_hosts import GitHosts
from gateway.settings import Settings
from tests.gateway.engine.yard import Commands, HangingFaults, Yard
from tests.gateway.fake_mlflow import FakeMlflow
from tests.gateway.world import World


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        tracking_uri="http://mlflow.test",
        tracking_timeout_seconds=0.3,
    )


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with one commit."""
    path = tmp_path_factory.mktemp("project")
    (path / "MLproject").write_text("name: project\nentry_points: {main: {command: hello}}\n")
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*name, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(path), *command], check=True)
    return path


@pytest.fixture
def git_store(tmp_path: Path) -> GitStore:
    return GitStore(tmp_path / "git", local_paths_allowed=True, hosts=GitHosts(("127.0.0.1",)))


@pytest.fixture
async def yard(
    context: Context, mlflow: FakeMlflow, project: Path, git_store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Yard]:
    site = FakeSite()
    site.faults = HangingFaults()
    kind = FakeKind(site)
    monkeypatch.setattr(registry, "kind", lambda name: kind)
    monkeypatch.setattr(engine_module, "IDLE_SECONDS", 0.01)
    planner = replace(context.planner, git=git_store, projects=Commands(), kind_of=lambda name: kind)
    context = replace(context, planner=planner)
    yard = Yard(context, site, mlflow)
    await yard.furnish(World(context), project)
    yield yard
    await yard.close()
