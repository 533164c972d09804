"""Opening the database; a transaction per request or per act of the engine."""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

QUIET_SECONDS = 5.0
"""A connection to a server that was used within this time is not asked first whether it still lives."""


class Database:
    """One pool. `transaction()` commits at its end and rolls back on an error; keep no network call inside it."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # The connection used last is used next: few of them have to learn the statements.
        pool: dict[str, Any] = {"pool_size": pool_size, "max_overflow": pool_size, "pool_use_lifo": True}
        options: dict[str, Any] = {} if self.is_sqlite else pool
        self.engine: AsyncEngine = create_async_engine(self.url, hide_parameters=True, **options)
        reading: dict[str, Any] = {"read_only": True}
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_immediate)
            event.listen(self.engine.sync_engine, "invalidate", _roll_back_first)
        else:
            event.listen(self.engine.sync_engine, "checkin", _note_use)
            event.listen(self.engine.sync_engine, "checkout", self._ping_after_quiet)
            # READ COMMITTED gives each statement its own view anyway: BEGIN and COMMIT would be two trips for nothing.
            reading["isolation_level"] = "AUTOCOMMIT"
        self._writing = async_sessionmaker(self.engine, expire_on_commit=False)
        self._reading = async_sessionmaker(self.engine.execution_options(**reading), expire_on_commit=False)

    def _ping_after_quiet(self, connection: Any, record: Any, _proxy: object) -> None:
        """As `pool_pre_ping`, which asks before every use."""
        if time.monotonic() < record.info.get("used", time.monotonic()) + QUIET_SECONDS:
            return
        try:
            self.engine.dialect.do_ping(connection)
        except self.engine.dialect.loaded_dbapi.Error as error:
            raise exc.InvalidatePoolError from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with self._writing() as session, session.begin():
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """For reads only: on SQLite it does not wait for the writer."""
        async with self._reading() as session, session.begin():
            yield session

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self.engine.dispose()


def _note_use(_connection: object, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not begin by itself: https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _roll_back_first(connection: Any, _record: object, _error: object) -> None:
    """A task that is cancelled within a statement leaves it open, and a connection that is closed with an open
    statement keeps its transaction, and with it the lock of the writer, until both are collected."""
    rollback = connection.driver_connection.rollback()
    rollback.send(None)  # its first step hands it to the thread of the connection, before the close
    rollback.close()


def _begin_immediate(connection: Any) -> None:
    # One writer: a transaction that reads first and writes later would otherwise fail as busy in the middle.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
