"""The ordinary way of a run to its site, in the database: each move of many runs at once in one transaction."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.spec import Handle, JobRef
from gateway.db.lease import later, want
from gateway.db.session import Database
from gateway.runs.lease import RunLease, lock_runs
from gateway.runs.manifest import new_manifest
from gateway.runs.moves import Move, clear_conditions_of, move_on
from gateway.runs.plan import Plan
from gateway.runs.rows import Attempt, Job, Manifest, Run
from gateway.runs.states import NO_CONTACT, ConditionName, State
from gateway.sites.rows import Site
from gateway.together import Together
from gateway.tracking import tokens
from gateway.tracking.rows import TrackingJournal

PLANNED = Move(State.PREPARING, "The run is valid; its code and script are fixed.", {})


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the attempt of a run that is to be laid out consists of."""

    manifest: Manifest
    attempt: Attempt
    site: Site
    token: str


@dataclass(frozen=True, slots=True)
class _Planned:
    run: Run
    lease: RunLease
    plan: Plan


@dataclass(frozen=True, slots=True)
class _LaidOut:
    run: Run
    lease: RunLease
    attempt: Attempt
    handle: Handle


@dataclass(frozen=True, slots=True)
class _Submitted:
    run: Run
    lease: RunLease
    attempt: Attempt
    ref: JobRef
    text: str


class Onward:
    """Each step is stored whole or not at all. A run whose lease is lost, or that was moved by another, stays where it
    is. One that was moved is up to date in memory as well."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._planned = Together(self._all_planned)
        self._laid_out = Together(self._all_laid_out)
        self._submitted = Together(self._all_submitted)

    async def aclose(self) -> None:
        for together in (self._planned, self._laid_out, self._submitted):
            await together.aclose()

    async def planned(self, run: Run, lease: RunLease, plan: Plan) -> Prepared | None:
        """CREATED -> PREPARING, with the manifest and the first attempt; None when it was not moved."""
        return await self._planned(_Planned(run, lease, plan))

    async def laid_out(self, run: Run, lease: RunLease, attempt: Attempt, handle: Handle) -> bool:
        """PREPARING -> SUBMITTING, with the handle; only after it `start` may be called."""
        return await self._laid_out(_LaidOut(run, lease, attempt, handle))

    async def submitted(self, run: Run, lease: RunLease, attempt: Attempt, ref: JobRef, text: str) -> bool:
        """SUBMITTING -> QUEUED, with the job; the lease is given back with it."""
        return await self._submitted(_Submitted(run, lease, attempt, ref, text))

    async def _all_planned(self, items: Sequence[_Planned]) -> list[Prepared | None]:
        found: dict[uuid.UUID, Prepared] = {}
        async with self._db.transaction() as session:
            moved: dict[uuid.UUID, datetime | None] = {}
            commits = {item.plan.commit for item in items}
            if len(commits) > 1:
                await lock_runs(session, [item.lease for item in items])
            for commit in commits:
                held = [(item.run, item.lease, PLANNED) for item in items if item.plan.commit == commit]
                moved |= await move_on(session, held, commit=commit)
            for item in (item for item in items if item.run.id in moved):
                attempt = new_attempt(item.run.id, 1)
                token, row = tokens.new(item.run.id, attempt.n)
                manifest = new_manifest(item.run.id, item.plan)
                session.add_all([manifest, attempt, row])
                found[item.run.id] = Prepared(manifest, attempt, item.plan.site, token)
            await clear_conditions_of(session, moved, *NO_CONTACT)
        for item in items:
            if item.run.id in moved:
                item.run.commit = item.plan.commit
        _note(items, moved, State.PREPARING)
        return [found.get(item.run.id) for item in items]

    async def _all_laid_out(self, items: Sequence[_LaidOut]) -> list[bool]:
        def to(item: _LaidOut) -> Move:
            text = f"Attempt {item.attempt.n} is prepared."
            return Move(State.SUBMITTING, text, {"location": item.handle.location})

        async with self._db.transaction() as session:
            moved = await move_on(session, [(item.run, item.lease, to(item)) for item in items])
            rows = [{"id": i.attempt.id, "location": i.handle.location} for i in items if i.run.id in moved]
            if rows:
                await session.execute(update(Attempt), rows)
            await clear_conditions_of(session, moved, *NO_CONTACT)
        _note(items, moved, State.SUBMITTING)
        return [item.run.id in moved for item in items]

    async def _all_submitted(self, items: Sequence[_Submitted]) -> list[bool]:
        def to(item: _Submitted) -> Move:
            evidence = {"job": item.ref.id, "attempt": item.attempt.n}
            return Move(State.QUEUED, f"{item.text} Job {item.ref.id}.", evidence)

        async with self._db.transaction() as session:
            await self._want_polls(session, items)
            moved = await move_on(session, [(item.run, item.lease, to(item)) for item in items], give_back=True)
            for item in (item for item in items if item.run.id in moved):
                session.add(Job(attempt_id=item.attempt.id, run_id=item.run.id, site_job_id=item.ref.id))
            await _open_journals(session, moved)
            await clear_conditions_of(session, moved, ConditionName.SUBMIT_UNKNOWN, *NO_CONTACT)
        _note(items, moved, State.QUEUED)
        return [item.run.id in moved for item in items]

    async def _want_polls(self, session: AsyncSession, items: Sequence[_Submitted]) -> None:
        """The leases of the polls are locked before their runs, as by the polls themselves."""
        sites = {item.run.connection_id: item.run.site_id for item in items}
        found = await session.execute(select(Site.id, Site.poll_seconds_min).where(Site.id.in_(set(sites.values()))))
        seconds = {row.id: row.poll_seconds_min for row in found}
        for connection_id in sorted(sites, key=str):
            await want(session, f"poll:{connection_id}", seconds[sites[connection_id]])


async def _open_journals(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> None:
    """What these jobs track beside themselves is to be copied, from when they run."""
    there = select(TrackingJournal.run_id).where(TrackingJournal.run_id == Manifest.run_id)
    such = select(Manifest.run_id).where(Manifest.run_id.in_(run_ids), Manifest.local_tracking, ~there.exists())
    for run_id in (await session.scalars(such)).all():
        session.add(TrackingJournal(run_id=run_id, due_at=later(session, 0)))


def new_attempt(run_id: uuid.UUID, n: int) -> Attempt:
    return Attempt(id=uuid.uuid4(), run_id=run_id, n=n, tag=f"mantik-{run_id}-{n}")


def _note(
    items: Sequence[_Planned] | Sequence[_LaidOut] | Sequence[_Submitted],
    moved: Mapping[uuid.UUID, datetime | None],
    state: State,
) -> None:
    """In memory too, now that it is committed."""
    for run in (item.run for item in items if item.run.id in moved):
        run.state, run.cancel_requested_at = state, moved[run.id]
