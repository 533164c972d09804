"""Models and migrations agree, on both databases."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Integer, text

from gateway.db.session import Database
from gateway.migrations import upgrade
from gateway.migrations.tables import METADATA


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), METADATA))


async def test_migrations_give_the_tables_of_the_models(database: Database) -> None:
    async with database.connection() as connection:
        assert await connection.run_sync(_differences) == []


async def test_a_forgotten_migration_is_seen(database: Database) -> None:
    METADATA.tables["leases"].append_column(Column("forgotten", Integer))
    try:
        async with database.connection() as connection:
            assert len(await connection.run_sync(_differences)) == 1
    finally:
        METADATA.tables["leases"]._columns.remove(METADATA.tables["leases"].c.forgotten)


async def test_upgrade_again_and_at_once_changes_nothing(database: Database, database_url: str) -> None:
    await asyncio.gather(*(upgrade(database_url) for _ in range(3)))
    async with database.reading() as session:
        assert (await session.execute(text("SELECT count(*) FROM alembic_version"))).scalar_one() == 1


async def test_gateways_that_start_together_on_an_empty_database(
    request: pytest.FixtureRequest, tmp_path: object
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/fresh.db"
    await asyncio.gather(*(upgrade(url) for _ in range(3)))
    db = Database(url)
    async with db.connection() as connection:
        assert await connection.run_sync(_differences) == []
    await db.close()
