"""Whether what a job tracked beside itself stands in MLflow."""

import asyncio
from uuid import UUID

from sqlalchemy import select

from gateway.db.session import Database
from gateway.errors import Conflict
from gateway.tracking.rows import TrackingJournal

PATIENCE = 30.0
LOOK_SECONDS = 0.5


async def require_copied(db: Database, run_id: UUID, *, seconds: float = PATIENCE) -> None:
    """Waits a little for a copy under way. Raises Conflict when a run that has ended is not copied whole by then."""
    waits = select(TrackingJournal.run_id).where(TrackingJournal.run_id == run_id, TrackingJournal.due_at.is_not(None))
    try:
        async with asyncio.timeout(seconds):
            while True:
                async with db.reading() as session:
                    if await session.scalar(waits) is None:
                        return
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise Conflict(
            "What the run tracked is still being copied into MLflow.",
            next_step=f"Try again later; `mantik runs describe {run_id}` shows how it stands.",
        ) from None
