"""Fixtures of the gateway's tests: a database with a fresh schema per test, SQLite and PostgreSQL."""

import hashlib
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from gateway import clock
from gateway.db.session import Database
from gateway.migrations import upgrade
from gateway.migrations.draft import VERSIONS

_MIGRATIONS = b"".join(path.read_bytes() for path in sorted(VERSIONS.glob("*.py")))
TEMPLATE = f"mantik_template_{hashlib.sha256(_MIGRATIONS).hexdigest()[:12]}"


@pytest.fixture(autouse=True)
def system_clock() -> Iterator[None]:
    """A test that replaces the clock does not have to put it back."""
    yield
    clock.use(None)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """URL of a database of this test alone, with all migrations: a copy of a template made once per session."""
    if request.param == "sqlite":
        template = request.getfixturevalue("template_directory") / "gateway.db"
        if not template.exists():
            await upgrade(f"sqlite+aiosqlite:///{template}")
        shutil.copy(template, tmp_path / "gateway.db")
        yield f"sqlite+aiosqlite:///{tmp_path / 'gateway.db'}"
        return
    server = request.getfixturevalue("postgres_url")
    name = f"mantik_{uuid.uuid4().hex}"
    await _make_template(server)
    # The files are copied: eight times as fast as through the log of PostgreSQL.
    await _command(server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    yield _on(server, name)
    await _command(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    db = Database(database_url)
    yield db
    await db.close()


@pytest.fixture(scope="session")
def template_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("template")


_made: set[str] = set()


async def _make_template(server: str) -> None:
    """Once per server and session; workers of pytest-xdist wait for each other."""
    if server in _made:
        return
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_lock(1)"))
        found = await connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :n"), {"n": TEMPLATE})
        if not found:
            await connection.execute(text(f"CREATE DATABASE {TEMPLATE}"))
        await upgrade(_on(server, TEMPLATE))
        await connection.execute(text("SELECT pg_advisory_unlock(1)"))
    await engine.dispose()
    _made.add(server)


async def _command(server: str, statement: str) -> None:
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def _on(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)
