"""Leases of runs and named leases: one holder at a time, nothing lost at a release, a late holder changes nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from gateway.context import Context
from gateway.db import lease as named
from gateway.db.lease import Lease, NamedLease, later
from gateway.db.session import Database
from gateway.runs import lease as runs
from gateway.runs.lease import RunLease
from gateway.runs.moves import Move, move
from gateway.runs.rows import Event, Run
from gateway.runs.states import State
from tests.gateway.world import World

LONG = 60.0


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Database]:
    """The pool of a second gateway process."""
    db = Database(database_url)
    yield db
    await db.close()


async def make(context: Context, count: int = 1) -> list[uuid.UUID]:
    world = World(context)
    place = await world.place()
    return [uuid.UUID((await world.run(place, state="CREATED", due=True)).ids["runId"]) for _ in range(count)]


async def claim(db: Database, owner: str = "a", limit: int = 10) -> list[RunLease]:
    async with db.transaction() as session:
        return [lease for _, lease in await runs.claim_runs(session, owner, LONG, limit)]


async def release(db: Database, lease: RunLease, due_in: float | None, failures: int = 0) -> None:
    async with db.transaction() as session:
        await runs.release_run(session, lease, due_in=due_in, failures=failures)


async def row(db: Database, run_id: uuid.UUID) -> Run:
    async with db.reading() as session:
        return await session.get_one(Run, run_id)


async def age(db: Database) -> None:
    async with db.transaction() as session:
        await session.execute(update(Run).values(lease_until=later(session, -1)))
        await session.execute(update(Lease).values(until=later(session, -1)))


async def seconds_from_now(db: Database, column: object) -> float:
    """By the database's clock."""
    async with db.reading() as session:
        found, now = (await session.execute(select(column, later(session, 0)))).one()  # type: ignore[call-overload]
    assert found is not None
    return float((found - now).total_seconds())


async def test_a_claim_takes_a_batch_the_longest_due_first(context: Context) -> None:
    made = await make(context, 5)
    async with context.db.transaction() as session:
        for place, run_id in enumerate(made):
            due = datetime.now(UTC) - timedelta(minutes=10 - place)
            await session.execute(update(Run).where(Run.id == run_id).values(due_at=due))
    first = await claim(context.db, limit=3)
    assert {lease.run_id for lease in first} == set(made[:3])
    assert {lease.run_id for lease in await claim(context.db, limit=3)} == set(made[3:])
    assert await claim(context.db) == []


async def test_what_is_due_later_deleted_or_never_is_not_claimed(context: Context) -> None:
    later_on, never, deleted = await make(context, 3)
    async with context.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == later_on).values(due_at=later(session, 30)))
        await session.execute(update(Run).where(Run.id == never).values(due_at=None))
        await session.execute(update(Run).where(Run.id == deleted).values(deleted_at=datetime.now(UTC)))
    assert await claim(context.db) == []


async def test_owners_at_once_never_hold_one_run_together(context: Context, other: Database) -> None:
    made = await make(context, 12)
    owners = [(context.db if n % 2 else other, f"owner-{n}") for n in range(6)]
    taken = await asyncio.gather(*(claim(db, owner, limit=3) for db, owner in owners))
    held = [lease.run_id for leases in taken for lease in leases]
    assert len(held) == len(set(held)), "each at most once"
    rest = [lease.run_id for lease in await claim(context.db, "last", limit=20)]
    assert sorted(held + rest) == sorted(made)


async def test_an_abandoned_lease_is_taken_after_its_time_and_not_before(context: Context) -> None:
    (run_id,) = await make(context)
    (dead,) = await claim(context.db, "dead")
    assert await claim(context.db, "heir") == []
    await age(context.db)
    (taken,) = await claim(context.db, "heir")
    assert (taken.run_id, taken.epoch) == (run_id, dead.epoch + 1)


async def test_a_renewed_lease_is_not_abandoned(context: Context) -> None:
    await make(context)
    held = await claim(context.db, "alive")
    await age(context.db)
    async with context.db.transaction() as session:
        await runs.renew_runs(session, held, LONG)
    assert await claim(context.db, "heir") == []
    assert 50 < await seconds_from_now(context.db, Run.lease_until) <= LONG


async def test_a_lease_that_was_taken_is_not_renewed_by_its_old_owner(context: Context) -> None:
    (run_id,) = await make(context)
    old = await claim(context.db, "old")
    await age(context.db)
    await claim(context.db, "new")
    await age(context.db)
    async with context.db.transaction() as session:
        await runs.renew_runs(session, old, LONG)
    assert await seconds_from_now(context.db, Run.lease_until) < 0
    assert (await row(context.db, run_id)).lease_owner == "new"


@pytest.mark.parametrize("due_in", [None, 100.0, 0.0])
async def test_an_intent_that_arrives_while_the_lease_is_held_is_not_lost(
    context: Context, due_in: float | None
) -> None:
    (run_id,) = await make(context)
    (lease,) = await claim(context.db)
    async with context.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == run_id).values(due_at=later(session, 0)))
    await release(context.db, lease, due_in)
    assert await seconds_from_now(context.db, Run.due_at) <= 0
    assert [taken.run_id for taken in await claim(context.db)] == [run_id]


async def test_a_release_says_when_it_is_due_next(context: Context) -> None:
    (run_id,) = await make(context)
    (lease,) = await claim(context.db)
    await release(context.db, lease, 40.0, failures=3)
    released = await row(context.db, run_id)
    assert (released.lease_owner, released.lease_until, released.failures) == (None, None, 3)
    assert 30 < await seconds_from_now(context.db, Run.due_at) <= 40
    assert await claim(context.db) == []


async def test_a_release_without_a_time_waits_for_somebody_to_ask(context: Context) -> None:
    (run_id,) = await make(context)
    (lease,) = await claim(context.db)
    await release(context.db, lease, None)
    assert (await row(context.db, run_id)).due_at is None


async def test_a_late_owner_changes_nothing(context: Context) -> None:
    (run_id,) = await make(context)
    (old,) = await claim(context.db, "old")
    stale = await row(context.db, run_id)
    await age(context.db)
    (new,) = await claim(context.db, "new")
    before = await row(context.db, run_id)
    async with context.db.transaction() as session:
        assert not await runs.still_held(session, old)
        assert await runs.still_held(session, new)
        moved = await move(session, stale, Move(State.PREPARING, "late", {}), guard=old.guard, commit="late")
        assert moved is False
    await release(context.db, old, 0.0, failures=9)
    after = await row(context.db, run_id)
    assert {c.key: getattr(after, c.key) for c in Run.__table__.columns} == {
        c.key: getattr(before, c.key) for c in Run.__table__.columns
    }
    async with context.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Event).where(Event.text == "late")) == 0


async def test_an_owner_that_takes_its_own_lease_again_has_a_new_epoch(context: Context) -> None:
    """What it began under the first one is late, too."""
    await make(context)
    (first,) = await claim(context.db, "same")
    await age(context.db)
    (second,) = await claim(context.db, "same")
    async with context.db.transaction() as session:
        assert not await runs.still_held(session, first)
        assert await runs.still_held(session, second)


async def test_nobody_takes_a_lease_while_its_owner_writes(context: Context, other: Database) -> None:
    await make(context)
    (mine,) = await claim(context.db, "mine")
    await age(context.db)
    async with context.db.transaction() as session:
        assert await runs.still_held(session, mine)
        taking = asyncio.create_task(claim(other, "other"))
        done, _ = await asyncio.wait([taking], timeout=0.2)
        assert not done or taking.result() == []
    taken = await taking or await claim(other, "other")
    assert [lease.owner for lease in taken] == ["other"]


async def test_all_leases_are_free_after_a_start_of_the_only_gateway(context: Context) -> None:
    await make(context, 2)
    assert len(await claim(context.db, "killed")) == 2
    async with context.db.transaction() as session:
        await runs.free_runs(session)
    assert len(await claim(context.db, "again")) == 2


# -- named leases


async def claim_named(
    db: Database, owner: str = "a", prefix: str = "poll:", limit: int = 10, waited: float = 0.0
) -> list[NamedLease]:
    async with db.transaction() as session:
        return await named.claim_named(session, owner, prefix, LONG, limit, waited=waited)


async def want(db: Database, name: str, due_in: float) -> None:
    async with db.transaction() as session:
        await named.want(session, name, due_in)


async def release_named(db: Database, lease: NamedLease, due_in: float | None) -> None:
    async with db.transaction() as session:
        await named.release_named(session, lease, due_in=due_in)


async def test_a_named_thing_is_done_when_somebody_wants_it(database: Database) -> None:
    assert await claim_named(database) == []
    await want(database, "poll:1", 0)
    await want(database, "sweep:1", 0)
    await want(database, "poll:later", 50)
    assert [lease.name for lease in await claim_named(database)] == ["poll:1"]
    assert await claim_named(database) == []


async def test_what_may_wait_is_taken_when_it_has_waited(database: Database) -> None:
    await want(database, "poll:1", 0)
    assert await claim_named(database, waited=50) == []
    async with database.transaction() as session:
        await session.execute(update(Lease).values(due_at=named.later(session, -60)))
    assert [lease.name for lease in await claim_named(database, waited=50)] == ["poll:1"]


async def test_the_earlier_of_two_wishes_counts(database: Database) -> None:
    await want(database, "poll:1", 50)
    await want(database, "poll:1", 20)
    await want(database, "poll:1", 90)
    assert 15 < await seconds_from_now(database, Lease.due_at) <= 20


async def test_a_wish_while_the_work_goes_on_is_kept(database: Database) -> None:
    await want(database, "poll:1", 0)
    (lease,) = await claim_named(database)
    await want(database, "poll:1", 0)
    assert await claim_named(database, "b") == [], "it is held"
    await release_named(database, lease, None)
    (again,) = await claim_named(database, "b")
    await release_named(database, again, None)
    assert await claim_named(database) == []


async def test_owners_at_once_never_hold_one_name_together(database: Database, other: Database) -> None:
    for n in range(8):
        await want(database, f"poll:{n}", 0)
    taken = await asyncio.gather(*(claim_named(db, f"{n}", limit=3) for n, db in enumerate([database, other] * 3)))
    names = [lease.name for leases in taken for lease in leases]
    assert len(names) == len(set(names))
    names += [lease.name for lease in await claim_named(database, "last", limit=20)]
    assert sorted(names) == [f"poll:{n}" for n in range(8)]


async def test_a_named_lease_goes_over_and_its_late_owner_changes_nothing(database: Database) -> None:
    await want(database, "poll:1", 0)
    (old,) = await claim_named(database, "old")
    await age(database)
    (new,) = await claim_named(database, "new")
    assert new.epoch == old.epoch + 1
    await release_named(database, old, 0)
    async with database.transaction() as session:
        await named.renew_named(session, old, 999)
        assert not await named.still_held(session, old)
        assert await named.still_held(session, new)
        guarded = update(Lease).where(Lease.name == "poll:1", old.guard).values(due_at=later(session, 5))
        await session.execute(guarded)
        kept = await session.get_one(Lease, "poll:1", populate_existing=True)
        assert (kept.owner, kept.due_at) == ("new", None)
    assert await seconds_from_now(database, Lease.until) <= LONG


async def test_named_leases_are_free_after_a_start_of_the_only_gateway(database: Database) -> None:
    await want(database, "poll:1", 0)
    await claim_named(database, "killed")
    async with database.transaction() as session:
        await named.free_named(session)
    assert [lease.owner for lease in await claim_named(database, "again")] == ["again"]
