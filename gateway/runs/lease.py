"""Leases of runs: this gateway works on this run. Same rules as `gateway.db.lease`."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.lease import due_again, is_due, later
from gateway.runs.rows import Run


@dataclass(frozen=True, slots=True)
class RunLease:
    """This gateway works on this run, until the lease ends or another takes it."""

    run_id: uuid.UUID
    owner: str
    epoch: int

    @property
    def guard(self) -> ColumnElement[bool]:
        """For the WHERE of every update that rests on the lease."""
        return and_(Run.lease_owner == self.owner, Run.lease_epoch == self.epoch)


def held_by(leases: Sequence[RunLease]) -> ColumnElement[bool]:
    """The guard of many leases, all of this gateway."""
    return and_(
        Run.lease_owner == leases[0].owner,
        tuple_(Run.id, Run.lease_epoch).in_([(lease.run_id, lease.epoch) for lease in leases]),
    )


async def claim_runs(
    session: AsyncSession, owner: str, seconds: float, limit: int, *such: ColumnElement[bool]
) -> Sequence[tuple[Run, RunLease]]:
    """Take due runs that nobody holds, `such` ones only, in one guarded UPDATE; each gets a new epoch."""
    due_now = is_due(Run.due_at, Run.lease_owner, Run.lease_until, later(session, 0))
    free = and_(due_now, Run.deleted_at.is_(None), *such)
    # A CTE runs once; PostgreSQL may run a subquery again for each row, and then takes more than the limit.
    due = select(Run.id).where(free).order_by(Run.due_at).limit(limit).with_for_update(skip_locked=True).cte()
    until = later(session, seconds)
    changed = await session.execute(
        update(Run)
        .where(Run.id.in_(select(due.c.id)), free)
        .values(lease_owner=owner, lease_epoch=Run.lease_epoch + 1, lease_until=until, due_at=None)
        .returning(Run.id, Run.lease_epoch)
        .execution_options(synchronize_session=False)
    )
    epochs: dict[uuid.UUID, int] = {row.id: row.lease_epoch for row in changed}
    if not epochs:
        return []
    rows = (await session.scalars(select(Run).where(Run.id.in_(epochs)))).all()
    session.expunge_all()
    return [(row, RunLease(row.id, owner, epochs[row.id])) for row in rows]


async def claim_idle_run(session: AsyncSession, owner: str, run_id: uuid.UUID, seconds: float) -> RunLease | None:
    """Take a run that nobody holds, due or not, for work beside the regular one: when it is due stays as it is, if it
    is given back with `due_in=None`."""
    epoch = await session.scalar(
        update(Run)
        .where(Run.id == run_id, Run.lease_owner.is_(None))
        .values(lease_owner=owner, lease_epoch=Run.lease_epoch + 1, lease_until=later(session, seconds))
        .returning(Run.lease_epoch)
        .execution_options(synchronize_session=False)
    )
    return RunLease(run_id, owner, epoch) if epoch is not None else None


async def release_run(session: AsyncSession, lease: RunLease, *, due_in: float | None, failures: int = 0) -> None:
    """Give a run back; `due_in` seconds until the engine looks again, None for not before something happens."""
    await session.execute(
        update(Run)
        .where(Run.id == lease.run_id, lease.guard)
        .values(lease_owner=None, lease_until=None, failures=failures, due_at=due_again(session, Run.due_at, due_in))
        .execution_options(synchronize_session=False)
    )


async def still_held(session: AsyncSession, lease: RunLease) -> bool:
    """Whether the run is ours; nobody takes it before the end of this transaction."""
    query = select(Run.id).where(Run.id == lease.run_id, lease.guard).with_for_update()
    return await session.scalar(query) is not None


async def lock_runs(session: AsyncSession, leases: Sequence[RunLease]) -> None:
    """Lock those that are ours in the order of their ids, as all do that change many: none waits for another then."""
    await session.execute(select(Run.id).where(held_by(leases)).order_by(Run.id).with_for_update())


async def free_runs(session: AsyncSession) -> None:
    """Make every lease abandoned now. Only for who is certain to be the one gateway of this database."""
    await session.execute(
        update(Run)
        .where(Run.lease_owner.is_not(None))
        .values(lease_until=later(session, 0))
        .execution_options(synchronize_session=False)
    )


async def renew_runs(session: AsyncSession, leases: Sequence[RunLease], seconds: float) -> None:
    """Keep what we still hold; one whose epoch moved on stays lost."""
    if not leases:
        return
    mine = select(Run.id).where(held_by(leases)).order_by(Run.id).with_for_update().cte()
    await session.execute(
        update(Run)
        .where(Run.id.in_(select(mine.c.id)), held_by(leases))
        .values(lease_until=later(session, seconds))
        .execution_options(synchronize_session=False)
    )
