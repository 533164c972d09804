"""Migrations of the database (Alembic, without an ini file). `upgrade` brings a database to the newest version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from gateway.db.session import Database

_ONE_AT_A_TIME = 0x6D616E74696B  # any constant: gateways that start together wait for each other


async def upgrade(database_url: str) -> None:
    """Run all migrations that are missing, in one transaction. Safe to call from several gateways at once."""
    db = Database(database_url)
    try:
        async with db.connection() as connection:
            if not db.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
            await connection.run_sync(_upgrade)
    finally:
        await db.close()


def config(connection: Connection) -> Config:
    """Alembic's settings, bound to an open connection."""
    settings = Config(attributes={"connection": connection})
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.set_main_option("path_separator", "newline")
    return settings


def _upgrade(connection: Connection) -> None:
    command.upgrade(config(connection), "head")
