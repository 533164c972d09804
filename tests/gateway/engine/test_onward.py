"""Many runs on their way to a site in one transaction: each whole or not at all, and only under its lease."""

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from backends.spec import Handle, JobRef
from gateway import clock
from gateway.db.lease import Lease
from gateway.engine import onward as onward_module
from gateway.engine.onward import Onward, new_attempt
from gateway.runs.lease import RunLease, claim_runs, renew_runs
from gateway.runs.rows import Attempt, Event, Job, Manifest, Run
from gateway.runs.states import State
from gateway.tracking.rows import RunToken
from tests.gateway.engine.yard import Yard


async def claimed(yard: Yard, count: int) -> list[tuple[Run, RunLease]]:
    ids = {await yard.submit() for _ in range(count)}
    async with yard.db.transaction() as session:
        found = [(run, lease) for run, lease in await claim_runs(session, "me", 60, 100) if run.id in ids]
    assert len(found) == count
    return sorted(found, key=lambda pair: str(pair[0].id))


async def counted(yard: Yard, table: type, run_id: uuid.UUID) -> int:
    async with yard.db.reading() as session:
        query = select(func.count()).select_from(table).where(table.run_id == run_id)  # type: ignore[attr-defined]
        return int(await session.scalar(query) or 0)


async def bring(yard: Yard, onward: Onward, pairs: list[tuple[Run, RunLease]]) -> list[Attempt | None]:
    """As far as SUBMITTING."""
    plans = [await yard.context.planner.plan(run) for run, _ in pairs]
    prepared = await asyncio.gather(*(onward.planned(r, x, plan) for (r, x), plan in zip(pairs, plans, strict=True)))
    attempts = [known.attempt if known else None for known in prepared]
    laid = [
        onward.laid_out(run, lease, attempt, Handle(attempt.tag, f"/work/{run.id}"))
        for (run, lease), attempt in zip(pairs, attempts, strict=True)
        if attempt is not None
    ]
    assert all(await asyncio.gather(*laid))
    return attempts


async def test_all_of_a_burst_come_to_the_site_with_all_that_belongs_to_them(yard: Yard) -> None:
    pairs = await claimed(yard, 5)
    onward = Onward(yard.db)
    attempts = await bring(yard, onward, pairs)
    sent = [
        onward.submitted(run, lease, attempt, JobRef(f"{n}", Handle(attempt.tag, "")), "Taken.")
        for n, ((run, lease), attempt) in enumerate(zip(pairs, attempts, strict=True))
        if attempt is not None
    ]
    assert await asyncio.gather(*sent) == [True] * 5
    for n, (run, _) in enumerate(pairs):
        assert run.state == State.QUEUED, "known in memory as well"
        now = await yard.run(run.id)
        assert (now.state, now.lease_owner, now.due_at) == ("QUEUED", None, None)
        assert now.commit is not None
        assert None not in (now.prepared_at, now.submitted_at, now.queued_at, now.tracking_due_at)
        assert [await counted(yard, table, run.id) for table in (Manifest, Attempt, RunToken, Job)] == [1, 1, 1, 1]
        assert [a.location for a in await yard.attempts(run.id)] == [f"/work/{run.id}"]
        assert [j.site_job_id for j in await yard.jobs(run.id)] == [f"{n}"]
        assert await yard.way(run.id) == ["CREATED", "PREPARING", "SUBMITTING", "QUEUED"]
    async with yard.db.reading() as session:
        lease = await session.get_one(Lease, f"poll:{pairs[0][0].connection_id}")
    assert lease.due_at is not None, "the poll is wanted"


@pytest.mark.parametrize("step", ["planned", "laid_out", "submitted"])
async def test_who_lost_its_lease_moves_nothing_and_the_others_go_on(yard: Yard, step: str) -> None:
    pairs = await claimed(yard, 3)
    onward = Onward(yard.db)
    late, its = pairs[1]
    plans = {run.id: await yard.context.planner.plan(run) for run, _ in pairs}
    attempts = {run.id: new_attempt(run.id, 1) for run, _ in pairs}
    if step != "planned":
        known = await asyncio.gather(*(onward.planned(run, lease, plans[run.id]) for run, lease in pairs))
        attempts = {k.attempt.run_id: k.attempt for k in known if k}
    if step == "submitted":
        await asyncio.gather(*(onward.laid_out(r, x, attempts[r.id], Handle("t", "/w")) for r, x in pairs))
    before = await yard.way(late.id)
    async with yard.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == late.id).values(lease_epoch=its.epoch + 1))

    def acts(run: Run, lease: RunLease):  # type: ignore[no-untyped-def]
        attempt = attempts[run.id]
        return {
            "planned": lambda: onward.planned(run, lease, plans[run.id]),
            "laid_out": lambda: onward.laid_out(run, lease, attempt, Handle(attempt.tag, "/other")),
            "submitted": lambda: onward.submitted(run, lease, attempt, JobRef("7", Handle(attempt.tag, "")), "Taken."),
        }[step]()

    answers = await asyncio.gather(*(acts(run, lease) for run, lease in pairs))
    assert [bool(answer) for answer in answers] == [True, False, True]
    assert await yard.way(late.id) == before
    assert (await yard.run(late.id)).lease_owner == "me"
    assert await counted(yard, Job, late.id) == 0
    if step == "planned":
        assert [await counted(yard, table, late.id) for table in (Manifest, Attempt, RunToken)] == [0, 0, 0]
    if step == "laid_out":
        assert [a.location for a in await yard.attempts(late.id)] == [None]


async def test_one_that_cannot_be_stored_does_not_hold_up_the_others(yard: Yard) -> None:
    pairs = await claimed(yard, 3)
    onward = Onward(yard.db)
    plans = [await yard.context.planner.plan(run) for run, _ in pairs]
    bad = replace(plans[1], command=None)  # type: ignore[arg-type]  # what no database takes
    asked = zip(pairs, [plans[0], bad, plans[2]], strict=True)
    answers = await asyncio.gather(*(onward.planned(r, x, plan) for (r, x), plan in asked), return_exceptions=True)
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
    assert [(await yard.run(run.id)).state for run, _ in pairs] == ["PREPARING", "CREATED", "PREPARING"]
    assert pairs[1][0].state == State.CREATED


async def test_a_cancel_that_came_meanwhile_is_known_at_the_next_step(yard: Yard) -> None:
    ((run, lease),) = await claimed(yard, 1)
    onward = Onward(yard.db)
    async with yard.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == run.id).values(cancel_requested_at=clock.now()))
    assert await onward.planned(run, lease, await yard.context.planner.plan(run)) is not None
    assert run.cancel_requested_at is not None


async def test_a_run_that_is_to_be_cancelled_is_due_when_its_job_is_known(yard: Yard) -> None:
    pairs = await claimed(yard, 2)
    onward = Onward(yard.db)
    attempts = await bring(yard, onward, pairs)
    async with yard.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == pairs[0][0].id).values(cancel_requested_at=clock.now()))
    sent = [
        onward.submitted(run, lease, attempt, JobRef(str(run.id)[:8], Handle(attempt.tag, "")), "Taken.")
        for (run, lease), attempt in zip(pairs, attempts, strict=True)
        if attempt is not None
    ]
    assert await asyncio.gather(*sent) == [True, True]
    assert [(await yard.run(run.id)).due_at is not None for run, _ in pairs] == [True, False]


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_a_burst_is_a_handful_of_transactions(yard: Yard) -> None:
    """What a submission costs is trips to the database, and commits."""
    pairs = await claimed(yard, 12)
    onward = Onward(yard.db)
    plans = [await yard.context.planner.plan(run) for run, _ in pairs]
    begun = await _commits(yard)
    await asyncio.gather(*(onward.planned(r, x, p) for (r, x), p in zip(pairs, plans, strict=True)))
    assert await _commits(yard) - begun <= 3
    assert {(await yard.run(run.id)).state for run, _ in pairs} == {"PREPARING"}
    async with yard.db.reading() as session:
        moved = await session.scalar(select(func.count()).select_from(Event).where(Event.to_state == "PREPARING"))
    assert moved == 12


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_a_burst_of_several_commits_and_a_renewal_do_not_wait_for_each_other(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = await claimed(yard, 2)
    plans = [await yard.context.planner.plan(run) for run, _ in pairs]
    commits = list({"1" * 40, "2" * 40})  # in the order in which they are gone through
    plans = [replace(plans[0], commit=commits[1]), replace(plans[1], commit=commits[0])]
    moved = asyncio.Event()
    move_on = onward_module.move_on

    async def slow(*given: Any, **values: Any) -> Any:
        done = await move_on(*given, **values)
        moved.set()
        await asyncio.sleep(0.3)
        return done

    monkeypatch.setattr(onward_module, "move_on", slow)
    onward = Onward(yard.db)
    planned = asyncio.gather(*(onward.planned(r, x, p) for (r, x), p in zip(pairs, plans, strict=True)))
    await moved.wait()
    async with yard.db.transaction() as session:
        await renew_runs(session, [lease for _, lease in pairs], 60)
    assert None not in await planned


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_is_kept_of_a_run_that_is_cancelled_on_its_way(yard: Yard) -> None:
    ((run, lease),) = await claimed(yard, 1)
    engine = await yard.engine(start=False)
    async with yard.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == run.id).values(cancel_requested_at=clock.now()))
    await engine._steps(run, lease)
    assert (await yard.run(run.id)).state == "CANCELLED"
    assert engine._submission._known == {}


async def _commits(yard: Yard) -> int:
    """Transactions that the events so far were written in."""
    async with yard.db.reading() as session:
        return int(await session.scalar(text("SELECT count(DISTINCT xmin::text) FROM events")) or 0)
