"""Named leases: one gateway at a time does a thing, such as polling a connection. Times are the database's clock.

Taking a lease empties `due_at`; a wish that arrives while the work goes on sets it again, and giving the lease
back keeps the earlier of the two. A holder that died leaves its owner's name: when its time is up the work is due.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, DateTime, and_, case, exists, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, UtcDateTime


class Lease(Base):
    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str | None]
    epoch: Mapped[int] = mapped_column(default=0)
    until: Mapped[datetime | None]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the work is due next."""


@dataclass(frozen=True, slots=True)
class NamedLease:
    """This gateway does a named thing, such as polling one connection."""

    name: str
    owner: str
    epoch: int

    @property
    def held(self) -> ColumnElement[bool]:
        return and_(Lease.name == self.name, Lease.owner == self.owner, Lease.epoch == self.epoch)

    @property
    def guard(self) -> ColumnElement[bool]:
        """For the WHERE of every update that rests on the lease."""
        return exists(select(Lease.name).where(self.held))


def later(session: AsyncSession, seconds: float) -> ColumnElement[datetime]:
    """The database's clock plus some seconds."""
    return _later(session.get_bind().dialect.name == "sqlite", round(seconds, 3))


@lru_cache(maxsize=256)
def _later(sqlite: bool, seconds: float) -> ColumnElement[datetime]:
    if sqlite:
        return func.strftime("%Y-%m-%d %H:%M:%f000", "now", f"{seconds:+.3f} seconds", type_=UtcDateTime())
    at: ColumnElement[datetime] = func.clock_timestamp(type_=DateTime(timezone=True)) + timedelta(seconds=seconds)
    return at


def is_due(due: Any, owner: Any, until: Any, now: ColumnElement[datetime]) -> ColumnElement[bool]:
    fresh = and_(due <= now, owner.is_(None))
    abandoned = and_(owner.is_not(None), until <= now)
    return or_(fresh, abandoned)


def due_again(session: AsyncSession, column: Any, due_in: float | None) -> ColumnElement[Any]:
    if due_in is None:
        kept: ColumnElement[Any] = column
        return kept
    at = later(session, due_in)
    return case((column < at, column), else_=at)


async def any_due(session: AsyncSession, prefixes: Iterable[str], *, waited: float = 0.0) -> bool:
    """Whether there is something for `claim_named`: in a session that only reads this takes no lock."""
    due = is_due(Lease.due_at, Lease.owner, Lease.until, later(session, -waited))
    such = or_(*[Lease.name.startswith(prefix) for prefix in prefixes])
    return await session.scalar(select(Lease.name).where(due, such).limit(1)) is not None


async def claim_named(
    session: AsyncSession, owner: str, prefix: str, seconds: float, limit: int, *, waited: float = 0.0
) -> list[NamedLease]:
    """Take named leases that nobody holds and that have been due for `waited` seconds."""
    due_then = is_due(Lease.due_at, Lease.owner, Lease.until, later(session, -waited))
    free = and_(due_then, Lease.name.startswith(prefix))
    # A CTE runs once; PostgreSQL may run a subquery again for each row, and then takes more than the limit.
    due = select(Lease.name).where(free).order_by(Lease.due_at).limit(limit).with_for_update(skip_locked=True).cte()
    changed = await session.execute(
        update(Lease)
        .where(Lease.name.in_(select(due.c.name)), free)
        .values(owner=owner, epoch=Lease.epoch + 1, until=later(session, seconds), due_at=None)
        .returning(Lease.name, Lease.epoch)
        .execution_options(synchronize_session=False)
    )
    return [NamedLease(row.name, owner, row.epoch) for row in changed]


async def claim_idle(session: AsyncSession, owner: str, name: str, seconds: float) -> NamedLease | None:
    """Take a named lease that nobody holds, due or not, for work beside the regular one: when that is due stays as it
    is, if the lease is given back with `due_in=None`."""
    epoch = await session.scalar(
        update(Lease)
        .where(Lease.name == name, Lease.owner.is_(None))
        .values(owner=owner, epoch=Lease.epoch + 1, until=later(session, seconds))
        .returning(Lease.epoch)
        .execution_options(synchronize_session=False)
    )
    return NamedLease(name, owner, epoch) if epoch is not None else None


async def release_named(session: AsyncSession, lease: NamedLease, *, due_in: float | None) -> None:
    """Give a named lease back, due again in so many seconds or, with None, when somebody asks."""
    await session.execute(
        update(Lease)
        .where(lease.held)
        .values(owner=None, until=None, due_at=due_again(session, Lease.due_at, due_in))
        .execution_options(synchronize_session=False)
    )


async def still_held(session: AsyncSession, lease: NamedLease) -> bool:
    """Whether the lease is ours; nobody takes it before the end of this transaction."""
    query = select(Lease.name).where(lease.held).with_for_update(read=True)
    return await session.scalar(query) is not None


async def free_named(session: AsyncSession) -> None:
    """Make every lease abandoned now. Only for who is certain to be the one gateway of this database."""
    await session.execute(
        update(Lease)
        .where(Lease.owner.is_not(None))
        .values(until=later(session, 0))
        .execution_options(synchronize_session=False)
    )


async def renew_named(session: AsyncSession, lease: NamedLease, seconds: float) -> None:
    await session.execute(
        update(Lease)
        .where(lease.held)
        .values(until=later(session, seconds))
        .execution_options(synchronize_session=False)
    )


async def want(session: AsyncSession, name: str, due_in: float) -> None:
    """Have a named thing done in `due_in` seconds, or earlier if it is due earlier."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    at = later(session, due_in)
    await session.execute(
        insert(Lease)
        .values(name=name, epoch=literal(0), due_at=at)
        .on_conflict_do_update(
            index_elements=[Lease.name], set_={"due_at": at}, where=or_(Lease.due_at.is_(None), Lease.due_at > at)
        )
    )
