"""Draft the next migration from the tables: `python -m gateway.migrations.draft "what changes"`.

It compares the tables with an SQLite database brought to the newest version, and writes `versions/<n>_<words>.py`.
To draft the first one anew, before any release: remove it and call this with its message.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from gateway.db.session import Database
from gateway.migrations import config, upgrade

VERSIONS = Path(__file__).parent / "versions"


async def draft(message: str) -> None:
    """Write the file and put it into the house's format."""
    number = f"{len(list(VERSIONS.glob('[0-9]*.py'))) + 1:04}"
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite+aiosqlite:///{directory}/draft.db"
        await upgrade(url)
        db = Database(url)
        async with db.connection() as connection:
            await connection.run_sync(_revision, message, number)
        await db.close()
    for arguments in (["format", "--quiet"], ["check", "--fix", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *arguments, str(VERSIONS)], check=True)  # noqa: S603, ASYNC221


def _revision(connection: Connection, message: str, number: str) -> None:
    command.revision(config(connection), message=message, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    asyncio.run(draft(" ".join(sys.argv[1:]) or "unnamed"))
