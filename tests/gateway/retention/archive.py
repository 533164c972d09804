"""A project with runs that ended some days ago, and the sweep that looks at them."""

import secrets
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from gateway import clock
from gateway.engine.engine import Engine
from gateway.logs import service as logs
from gateway.logs.rows import LogChunk
from gateway.logs.service import Position
from gateway.retention import service
from gateway.retention.preview import preview
from gateway.retention.rows import Removal
from gateway.runs.rows import Attempt, Run
from gateway.schemas.retention import RetentionPreview, SetRetention
from tests.gateway.engine.yard import Yard


class Archive:
    def __init__(self, yard: Yard) -> None:
        self.yard, self.db, self.project_id = yard, yard.db, yard.project_id
        self._engine: Engine | None = None

    async def run(self, days: float, *, log: bytes = b"", directory: bool = False, **values: Any) -> uuid.UUID:
        """A run of the project that finished so many days ago, as rows: with a log, and an attempt on the site."""
        run_id, ids = uuid.uuid4(), {name: uuid.UUID(value) for name, value in self.yard.place.ids.items()}
        columns = {
            "project_id": self.project_id,
            "name": f"run-{secrets.token_hex(3)}",
            "created_by": self.yard.caller.user_id,
            "run_as": self.yard.caller.user_id,
            "experiment_repository_id": ids["experimentRepositoryId"],
            "connection_id": ids["connectionId"],
            "site_id": ids["siteId"],
            "mlproject_path": "MLproject",
            "lineage_id": run_id,
            "state": "FINISHED",
            "ended_at": clock.now() - timedelta(days=days),
        }
        async with self.db.transaction() as session:
            session.add(Run(id=run_id, **{**columns, **values}))
            await session.flush()
            if directory:
                tag = f"mantik-{run_id}-1"
                session.add(Attempt(run_id=run_id, n=1, tag=tag, location=f"{self.yard.site.root}/{run_id}/1"))
        if log:
            await self.log(run_id, log)
        return run_id

    async def log(self, run_id: uuid.UUID, data: bytes) -> None:
        """Stored in two chunks."""
        half = len(data) // 2
        for offset, part in ((0, data[:half]), (half, data[half:])):
            at = Position(0, offset)
            key = logs.new_key(run_id, at)
            await self.yard.context.blobs.put(key, part)
            async with self.db.transaction() as session:
                logs.append(session, run_id, at, len(part), key)

    async def true_run(self, days: float) -> uuid.UUID:
        """A run that an engine brought to its end on the site, so many days ago."""
        run_id = await self.yard.submit()
        engine = await self.yard.engine()
        await self.yard.until_quiet(run_id)
        await engine.stop()
        await self.age(run_id, days)
        return run_id

    async def age(self, run_id: uuid.UUID, days: float) -> None:
        await self.change(run_id, ended_at=clock.now() - timedelta(days=days))

    async def change(self, run_id: uuid.UUID, **values: Any) -> None:
        async with self.db.transaction() as session:
            await session.execute(update(Run).where(Run.id == run_id).values(**values))

    async def rules(self, **days: int | None) -> None:
        await service.change(self.db, self.yard.caller, self.project_id, SetRetention(**days))

    async def preview(self, *, limit: int = 200, cursor: str | None = None, **days: int | None) -> RetentionPreview:
        body = SetRetention(**days) if days else None
        return await preview(self.db, self.yard.caller, self.project_id, body, cursor, limit)

    async def sweep(self) -> None:
        """A pass by a gateway that does nothing else."""
        self._engine = self._engine or await self.yard.engine(start=False)
        await self._engine.retention.round()

    async def an_hour_later(self) -> None:
        """What was tried and not done may be tried again."""
        async with self.db.transaction() as session:
            await session.execute(update(Removal).values(tried_at=clock.now() - timedelta(hours=1, minutes=1)))

    async def chunks(self, run_id: uuid.UUID) -> int:
        async with self.db.reading() as session:
            query = select(func.count()).select_from(LogChunk).where(LogChunk.run_id == run_id)
            return await session.scalar(query) or 0

    def blobs(self, run_id: uuid.UUID) -> list[Path]:
        """Files of the run's log that are stored."""
        directory = self.yard.context.settings.data_dir / "blobs" / "logs" / str(run_id)
        return [path for path in directory.rglob("*") if path.is_file()]

    async def removals(self, run_id: uuid.UUID) -> dict[str, Removal]:
        async with self.db.reading() as session:
            rows = await session.scalars(select(Removal).where(Removal.run_id == run_id))
            return {row.what: row for row in rows}

    async def told(self, run_id: uuid.UUID) -> list[str]:
        """The events that retention wrote."""
        return [event.text for event in await self.yard.events(run_id, "retention")]

    async def untouched(self, run_id: uuid.UUID) -> None:
        """Nothing of the run is gone, and nobody asked for it."""
        run = await self.yard.run(run_id)
        assert (run.delete_requested_at, run.deleted_at, run.lease_owner) == (None, None, None)
        assert (await self.removals(run_id), await self.told(run_id)) == ({}, [])
        assert len(self.blobs(run_id)) == await self.chunks(run_id)
