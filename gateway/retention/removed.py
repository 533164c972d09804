"""What a reader is told of a log that a rule removed."""

import uuid

from gateway.db.session import Database
from gateway.errors import NotFound
from gateway.retention.due import LOG
from gateway.retention.rows import Removal


async def refuse_removed_log(db: Database, run_id: uuid.UUID) -> None:
    """Raises NotFound, with the day, when a rule removed the run's log."""
    async with db.reading() as session:
        found = await session.get(Removal, (run_id, LOG))
    if found is not None:
        raise NotFound(f"The log of this run was removed by the project's retention rule on {found.begun_at:%Y-%m-%d}.")
