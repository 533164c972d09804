"""The other side of `accept`: a FastAPI endpoint that takes the same body, stores one row and answers.

python -m tests.bench.bare_endpoint DATABASE_URL PORT
"""

import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, Column, DateTime, MetaData, String, Table, Uuid, event, insert
from sqlalchemy.ext.asyncio import create_async_engine

ROWS = Table(
    "bare_rows",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("created_at", DateTime(timezone=True)),
    Column("name", String),
    Column("body", JSON),
)


class Body(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Made(BaseModel):
    id: uuid.UUID


def create_app(url: str) -> FastAPI:
    engine = create_async_engine(url)
    if url.startswith("sqlite"):
        event.listen(engine.sync_engine, "connect", _as_the_gateway)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(ROWS.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/rows", status_code=202)
    async def add(body: Body) -> Made:
        row: dict[str, Any] = {"id": uuid.uuid4(), "created_at": datetime.now(UTC), "name": body.name}
        async with engine.begin() as connection:
            await connection.execute(insert(ROWS).values(**row, body=body.model_dump()))
        return Made(id=row["id"])

    return app


def _as_the_gateway(connection: sqlite3.Connection, _record: object) -> None:
    """A commit is on the disk when the answer goes out."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
