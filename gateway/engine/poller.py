"""Follows the jobs of one connection: one query per tick, changes stored under the tick's lease."""

import logging
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.backend import Backend
from backends.errors import (
    AuthenticationFailed,
    BackendError,
    ChallengeRequired,
    InvalidJob,
    JobNotFound,
    SiteUnavailable,
)
from backends.reasons import Reason
from backends.spec import DirectoryGone, Handle, JobRef, JobStatus, Outcome, Phase, Result, Revoked
from gateway import clock
from gateway.budgets.settling import settled
from gateway.db.lease import NamedLease, later, still_held
from gateway.engine.log_copy import LogCopy
from gateway.engine.parts import DAY, Parts, back_off
from gateway.engine.sites import SitePaused
from gateway.runs.moves import (
    Move,
    clear_conditions,
    clear_conditions_of,
    move,
    no_contact,
    record,
    set_condition,
    set_conditions,
    shown_for,
)
from gateway.runs.rows import Attempt, Condition, Job, Run
from gateway.runs.states import NO_CONTACT, OF_LIVE_RUNS, ON_SITE, ConditionName, State
from gateway.sites.rows import Site

log = logging.getLogger(__name__)
PREFIX = "poll:"
TOLD_GRACE = 12
"""How much longer a job may be missing that the site's accounting shows as live."""
STATES = {Phase.QUEUED: State.QUEUED, Phase.STARTING: State.STARTING, Phase.RUNNING: State.RUNNING}


@dataclass(frozen=True, slots=True)
class Followed:
    """A run with the job that runs its code."""

    run: Run
    job: Job
    ref: JobRef


@dataclass(slots=True)
class Poller:
    """The back-off adapts: the site's least interval while something changes, up to its most when nothing does."""

    parts: Parts
    logs: LogCopy
    _waits: dict[uuid.UUID, float] = field(default_factory=dict)
    _failures: dict[uuid.UUID, int] = field(default_factory=dict)
    _looked_at: dict[uuid.UUID, set[uuid.UUID]] = field(default_factory=dict)
    """Runs of a connection that were looked at since its last tick, because the site told of them."""

    async def look(self, lease: NamedLease, run_ids: Collection[uuid.UUID]) -> None:
        """Look at these runs of a connection now; the next tick leaves them out. Raises BackendError."""
        connection_id = _connection(lease)
        async with self.parts.db.reading() as session:
            followed = [f for f in await _followed(session, connection_id) if f.run.id in run_ids]
            site = await session.get(Site, followed[0].run.site_id) if followed else None
        if site is None:
            return
        if await self._sweep(lease, followed, await self.parts.sites.backend(connection_id)):
            self._waits[connection_id] = site.poll_seconds_min
        self._looked_at.setdefault(connection_id, set()).update(f.run.id for f in followed)

    async def tick(self, lease: NamedLease) -> float | None:
        """One pass over a connection; returns seconds until the next, None when nothing is left to follow."""
        connection_id = _connection(lease)
        just_looked_at = self._looked_at.pop(connection_id, set())
        async with self.parts.db.reading() as session:
            followed = await _followed(session, connection_id)
            site = await session.get(Site, followed[0].run.site_id) if followed else None
        if not followed or site is None:
            self._waits.pop(connection_id, None)
            return None
        try:
            backend = await self.parts.sites.backend(connection_id)
            changed = await self._sweep(lease, [f for f in followed if f.run.id not in just_looked_at], backend)
        except BackendError as error:
            return await self._no_contact(lease, connection_id, followed, error, site)
        self._failures.pop(connection_id, None)
        wait = site.poll_seconds_min if changed else self._waits.get(connection_id, site.poll_seconds_min) * 1.5
        self._waits[connection_id] = min(wait, site.poll_seconds_max)
        return self._waits[connection_id]

    async def _sweep(self, lease: NamedLease, followed: Sequence[Followed], backend: Backend) -> bool:
        """Whether anything is new. Asks nothing about nobody."""
        if not followed:
            return False
        statuses = await backend.poll([f.ref for f in followed])
        changed = await self._apply(lease, followed, statuses)
        changed |= await self._copy_logs(lease, followed, statuses, backend)
        return changed | await self._missing(lease, followed, statuses, backend)

    async def _no_contact(
        self, lease: NamedLease, connection_id: uuid.UUID, followed: Sequence[Followed], error: BackendError, site: Site
    ) -> float:
        """A failed poll changes no state: it is shown as a condition, and tried again."""
        login = isinstance(error, AuthenticationFailed | ChallengeRequired)
        name = ConditionName.NEEDS_LOGIN if login else ConditionName.LOST_CONTACT
        async with self.parts.db.transaction() as session:
            held = followed if await still_held(session, lease) else ()
            for f in held:
                await no_contact(session, f.run.id, name, error.message)
            if held and not isinstance(error, SitePaused):
                await self._given_up(session, lease, held, site.lost_after_days, error.message)
        failures = self._failures[connection_id] = self._failures.get(connection_id, 0) + 1
        return back_off(failures, site.poll_seconds_min, max(site.poll_seconds_max, 15.0))

    async def _given_up(
        self, session: AsyncSession, lease: NamedLease, followed: Sequence[Followed], days: int, why: str
    ) -> None:
        """Out of reach for `lostAfter` days is LOST; the run is never submitted again, and evidence may reopen it."""
        silent = await shown_for(session, [f.run.id for f in followed], days * DAY, *NO_CONTACT)
        for f in followed:
            if f.run.id in silent:
                text = f"The site was out of reach for {days} days; how job {f.ref.id} ended is not known."
                await _ended(session, lease, f, Move(State.FAILED, text, {"job": f.ref.id, "site": why}, Reason.LOST))

    async def _apply(self, lease: NamedLease, followed: Sequence[Followed], statuses: Any) -> bool:
        changes = [(f, statuses[f.ref]) for f in followed if self._differs(f, statuses[f.ref])]
        async with self.parts.db.reading() as session:
            shown = await _shown(session, [f.run.id for f in followed])
        if not changes and not shown:
            return False
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return False
            for f in followed:
                found = statuses[f.ref].phase is not Phase.MISSING
                over = NO_CONTACT | {ConditionName.JOB_MISSING} if found else NO_CONTACT
                if shown.get(f.run.id, frozenset()) & over:
                    await clear_conditions(session, f.run.id, *over)
        try:
            await self._take_all(lease, changes)
        except Exception:  # whatever a driver raises
            # What a site says of one job may not fit the database: the others' news is stored all the same.
            for change in changes:
                try:
                    await self._take_all(lease, [change])
                except Exception:
                    log.exception("the status of run %s could not be stored", change[0].run.id)
        return bool(changes)

    async def _take_all(self, lease: NamedLease, changes: Sequence[tuple[Followed, JobStatus]]) -> None:
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return
            ours = [(f, status) for f, status in changes if not _other(f, status)]
            if ours:
                seen = [{"id": f.job.id, **_seen(f.job, status)} for f, status in ours]
                await session.execute(update(Job), seen)
                await _pending(session, ours)
            for f, status in changes:
                await self._take(session, lease, f, status)

    @staticmethod
    def _differs(f: Followed, status: JobStatus) -> bool:
        if status.phase is Phase.MISSING:
            return _other(f, status)
        job = f.job
        seen = (job.site_state, job.pending_reason, job.restarts, job.nodes, job.account, job.log_size)
        told = (status.site_state, status.pending_reason, status.restarts, status.nodes, status.account)
        return seen != (*told, status.log_size) or f.run.state != STATES.get(status.phase) or _other(f, status)

    async def _take(self, session: AsyncSession, lease: NamedLease, f: Followed, status: JobStatus) -> None:
        if _other(f, status):
            await self._follow_first(session, f, status)
            return
        if status.restarts > f.job.restarts:
            record(session, f.run.id, "site", f"The site started the job anew, restart {status.restarts}.")
        if status.phase is Phase.ENDED and status.outcome is not None:
            await self._end(session, lease, f, status, status.outcome)
            return
        to = STATES[status.phase]
        if to != f.run.state:
            evidence = {"job": f.ref.id, "site": status.site_state, "restarts": status.restarts}
            at = status.started_at if to is State.RUNNING else None
            text = {State.QUEUED: "The job waits in the queue.", State.STARTING: "The site starts the job."}
            await move(session, f.run, Move(to, text.get(to, "The job runs."), evidence, at=at), guard=lease.guard)

    async def _follow_first(self, session: AsyncSession, f: Followed, status: JobStatus) -> None:
        """The job we know is a copy made by the site; the fence names the one that runs our code."""
        await session.execute(update(Job).where(Job.id == f.job.id).values(current=False))
        there = await session.scalar(
            select(Job).where(Job.attempt_id == f.job.attempt_id, Job.site_job_id == status.fence)
        )
        if there is None:
            session.add(Job(attempt_id=f.job.attempt_id, run_id=f.run.id, site_job_id=str(status.fence)))
        else:
            there.current = True
        evidence = {"duplicate": f.ref.id, "fence": status.fence}
        record(session, f.run.id, "site", f"Job {f.ref.id} is a duplicate of {status.fence}.", evidence)

    async def _end(
        self, session: AsyncSession, lease: NamedLease, f: Followed, status: JobStatus, outcome: Outcome
    ) -> None:
        await _ended(session, lease, f, ending(f.run, status, outcome), **spent(f.run, f.job, status))

    async def _copy_logs(
        self, lease: NamedLease, followed: Sequence[Followed], statuses: Any, backend: Backend
    ) -> bool:
        copied = False

        async def held(session: AsyncSession) -> bool:
            return await still_held(session, lease)

        for f in followed:
            status: JobStatus = statuses[f.ref]
            # What the copy could not take in one go it goes on with, although the file did not grow.
            behind = status.log_size is not None and status.phase not in (Phase.ENDED, Phase.MISSING)
            if behind and f.run.state in ON_SITE:
                try:
                    size, identity = status.log_size or 0, status.log_identity
                    doors = (f.run, f.job, backend, f.ref.handle)
                    copied |= await self.logs.copy(*doors, size, identity, held=held)
                except (JobNotFound, InvalidJob):
                    continue  # one run's log must not stop the others of the connection
        return copied

    async def _missing(self, lease: NamedLease, followed: Sequence[Followed], statuses: Any, backend: Backend) -> bool:
        """Absence is no end: after a grace time the fence and the files decide, and what they leave open is LOST."""
        missing = [f for f in followed if statuses[f.ref].phase is Phase.MISSING and not _other(f, statuses[f.ref])]
        if not missing:
            return False
        text = "The site no longer knows job {} and there is no evidence of its end yet."
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return False
            for f in missing:
                await set_condition(session, f.run.id, ConditionName.JOB_MISSING, text.format(f.ref.id))
            grace = self.parts.settings.missing_grace_seconds
            # What accounting still calls live it may just not have heard of: that is waited for longer.
            told = [f.run.id for f in missing if statuses[f.ref].site_state]
            untold = [f.run.id for f in missing if not statuses[f.ref].site_state]
            over = await shown_for(session, untold, grace, ConditionName.JOB_MISSING)
            over |= await shown_for(session, told, grace * TOLD_GRACE, ConditionName.JOB_MISSING)
        for f in missing:
            if f.run.id in over:
                # A site that cannot show one directory may show the others.
                with suppress(SiteUnavailable):
                    await self._lose(lease, f, await backend.revoke(f.ref.handle))
        return True

    async def _lose(self, lease: NamedLease, f: Followed, fence: Revoked | JobRef | DirectoryGone) -> None:
        if isinstance(fence, JobRef) and fence.id != f.ref.id:
            return  # a copy passed it just now: the next look follows that one
        texts: dict[type, str] = {
            Revoked: f"Job {f.ref.id} vanished from the site before it started. It was not submitted again.",
            JobRef: f"Job {f.ref.id} started and vanished from the site without a trace of its end.",
            DirectoryGone: f"Job {f.ref.id} and its directory vanished from the site.",
        }
        evidence = {"job": f.ref.id, "fence": type(fence).__name__}
        async with self.parts.db.transaction() as session:
            await _ended(session, lease, f, Move(State.FAILED, texts[type(fence)], evidence, Reason.LOST))


def spent(run: Run, job: Job, status: JobStatus) -> dict[str, Any]:
    """Columns of the run: what its job cost, as far as the site told."""
    started_at, ended_at = run.started_at or status.started_at, status.ended_at or clock.now()
    hosts = status.nodes or job.nodes
    return settled(dict(status.usage) or job.usage, hosts, run.worst_gpu_hours, started_at, ended_at)


async def _ended(session: AsyncSession, lease: NamedLease, f: Followed, to: Move, **values: Any) -> None:
    """The end of a run that was followed; what is left is collected at once."""
    if await move(session, f.run, to, guard=lease.guard, **values):
        await clear_conditions(session, f.run.id, *OF_LIVE_RUNS)
        await set_condition(session, f.run.id, ConditionName.COLLECTING, "Log and files are being collected.")
        await session.execute(update(Run).where(Run.id == f.run.id).values(due_at=later(session, 0)))


def ending(run: Run, status: JobStatus, outcome: Outcome) -> Move:
    """The final state that an outcome means, its reason and one plain sentence."""
    evidence = {
        "job": status.ref.id,
        "site": outcome.text or status.site_state,
        "evidence": outcome.evidence,
        "exitCode": outcome.exit_code,
        "signal": outcome.signal,
    }
    to, text, reason = _meaning(run, outcome)
    return Move(to, text, evidence, reason, outcome.exit_code, status.ended_at)


def _meaning(run: Run, outcome: Outcome) -> tuple[State, str, Reason | None]:
    if outcome.result is Result.FINISHED:
        return State.FINISHED, "The run finished.", None
    # A stop that we asked for shows as a signal, or as a cancelled job; a code of the program is its own end.
    stopped = outcome.result is Result.CANCELLED or outcome.signal is not None
    if run.cancel_requested_at is not None and stopped:
        return State.CANCELLED, "Cancelled as requested.", Reason.CANCELLED_BY_USER
    if outcome.result is Result.CANCELLED:
        return State.CANCELLED, "The job was cancelled on the site.", Reason.CANCELLED_ON_SITE
    reason = outcome.reason or Reason.EXIT_CODE
    return State.FAILED, outcome.sentence or sentence(reason, outcome), reason


def sentence(reason: Reason, outcome: Outcome) -> str:
    """Why it failed, in plain words and with the next step."""
    ended = f"code {outcome.exit_code}" if outcome.exit_code is not None else f"signal {outcome.signal}"
    return {
        Reason.EXIT_CODE: f"The command ended with {ended}; the log says why.",
        Reason.OUT_OF_MEMORY: "The job used more memory than it asked for; raise Resources.MemoryPerNode.",
        Reason.TIME_LIMIT: "The job reached its time limit; raise Resources.Runtime.",
        Reason.NODE_FAILURE: "A node of the job failed; submit it again.",
        Reason.PREEMPTED: "The site took the nodes for a job of higher priority; submit it again.",
        Reason.DISK_FULL: "The disk of the site is full, or your quota is used up; make room there.",
        Reason.LOST: "The job ended without any evidence of how; look at its log and submit it again.",
    }.get(reason, f"The run failed: {outcome.text or reason}.")


def _connection(lease: NamedLease) -> uuid.UUID:
    return uuid.UUID(lease.name.removeprefix(PREFIX))


def _other(f: Followed, status: JobStatus) -> bool:
    return status.fence not in (None, "revoked", f.ref.id)


def _seen(job: Job, status: JobStatus) -> dict[str, Any]:
    return {
        "site_state": status.site_state,
        "pending_reason": status.pending_reason,
        "restarts": status.restarts,
        "nodes": status.nodes or job.nodes,
        "account": status.account or job.account,
        "usage": dict(status.usage) or job.usage,
        "log_size": status.log_size,
        "seen_at": clock.now(),
    }


async def _pending(session: AsyncSession, changes: Sequence[tuple[Followed, JobStatus]]) -> None:
    """Why jobs wait, or nothing of it when they wait no more."""
    waits = {f.run.id: s.pending_reason for f, s in changes if s.phase is Phase.QUEUED and s.pending_reason}
    over = [f.run.id for f, _ in changes if f.run.id not in waits and f.job.pending_reason]
    await set_conditions(session, waits, ConditionName.PENDING_REASON)
    await clear_conditions_of(session, over, ConditionName.PENDING_REASON)


async def _shown(session: AsyncSession, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, set[str]]:
    """Conditions that a successful poll takes away, whoever set them."""
    names = (*NO_CONTACT, ConditionName.JOB_MISSING)
    rows = await session.execute(
        select(Condition.run_id, Condition.name).where(Condition.run_id.in_(ids), Condition.name.in_(names))
    )
    found: dict[uuid.UUID, set[str]] = {}
    for row in rows:
        found.setdefault(row.run_id, set()).add(row.name)
    return found


async def _followed(session: AsyncSession, connection_id: uuid.UUID) -> list[Followed]:
    rows = await session.execute(
        select(Run, Job, Attempt)
        .join(Job, Job.run_id == Run.id)
        .join(Attempt, Attempt.id == Job.attempt_id)
        .where(Run.connection_id == connection_id, Run.state.in_(ON_SITE), Job.current)
    )
    return [
        Followed(run, job, JobRef(job.site_job_id, Handle(attempt.tag, attempt.location or "")))
        for run, job, attempt in rows
    ]
