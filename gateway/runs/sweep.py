"""What the engine throws away now and then: previews nobody may submit any more, and git caches above their size."""

from datetime import timedelta

from sqlalchemy import delete, select

from gateway import clock
from gateway.db.session import Database
from gateway.repositories.rows import CodeRepository
from gateway.runs.plan import Planner, cache_key
from gateway.runs.rows import Manifest, Preview, Run
from gateway.runs.states import LIVE
from gateway.settings import Settings


async def sweep(db: Database, settings: Settings, planner: Planner) -> None:
    """Repeatable; many gateways may do it at once. A live run keeps the mirror of its code and its packed code."""
    async with db.transaction() as session:
        oldest = clock.now() - timedelta(hours=settings.preview_hours)
        await session.execute(delete(Preview).where(Preview.created_at < oldest))
    async with db.reading() as session:
        needed = (
            await session.execute(
                select(CodeRepository.uri, CodeRepository.connection_id, Manifest.code_sha256)
                .join(Run, Run.code_repository_id == CodeRepository.id)
                .join(Manifest, Manifest.run_id == Run.id, isouter=True)
                .where(Run.state.in_(LIVE), Run.origin == "submitted")
                .distinct()
            )
        ).all()
    await planner.git.tidy(
        settings.max_cache_bytes,
        sources={(uri, cache_key(connection_id)) for uri, connection_id, _ in needed},
        bundles={sha256 for _, _, sha256 in needed if sha256 is not None},
    )
