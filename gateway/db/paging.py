"""Keyset paging, newest first: a page costs the same wherever it stands, and nothing is shown twice."""

import base64
import binascii
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.base import WithId
from gateway.errors import InvalidInput

DEFAULT_LIMIT = 50
MOST = 200

RowT = TypeVar("RowT", bound=WithId)


async def fetch(
    session: AsyncSession, statement: Select[RowT], table: type[WithId], cursor: str | None, limit: int
) -> tuple[list[RowT], str | None]:
    """One page of a statement over a table with ids, and the cursor of the next one, None at the end."""
    if cursor:
        statement = statement.where(_after(table, cursor))
    ordered = statement.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
    rows = list(await session.scalars(ordered))
    more = len(rows) > limit
    return rows[:limit], cursor_of(rows[limit - 1]) if more else None


def cursor_of(row: WithId) -> str:
    """Opaque to clients: the place of a row in the order."""
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()} {row.id.hex}".encode()).decode().rstrip("=")


def _after(table: type[WithId], cursor: str) -> Any:
    try:
        when, what = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        time, row_id = datetime.fromisoformat(when), UUID(what)
    except (ValueError, binascii.Error):
        raise InvalidInput("cursor: give the nextCursor of an earlier page, unchanged, or leave it out.") from None
    if time.tzinfo is None:
        raise InvalidInput("cursor: give the nextCursor of an earlier page, unchanged, or leave it out.")
    return or_(table.created_at < time, and_(table.created_at == time, table.id < row_id))
