"""After the end: the whole tail of the log, the login-node commands, the directory; and what a deletion removes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.backend import Backend
from backends.errors import BackendError, InvalidJob, JobNotFound
from backends.reasons import Reason
from backends.spec import Handle, JobRef, Phase
from gateway import clock
from gateway.db.lease import later, want
from gateway.engine.log_copy import LOG, LogCopy
from gateway.engine.parts import DAY, Parts
from gateway.engine.poller import PREFIX, STATES, ending, spent
from gateway.engine.replay import reopen_journal
from gateway.errors import GatewayError
from gateway.logs.rows import LogChunk
from gateway.runs.lease import RunLease, still_held
from gateway.runs.moves import Move, clear_conditions, move, record, set_condition, shown_for
from gateway.runs.rows import Attempt, Condition, Job, Run
from gateway.runs.states import OF_LIVE_RUNS, ConditionName, State
from gateway.sites.rows import Site

SWEEP_SECONDS = 600.0
"""How often a LOST run is looked for again."""


CANCEL_AGAIN_SECONDS = 30.0
DELETE_AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Collector:
    """The last steps of a run. Each may be repeated after a crash."""

    parts: Parts
    logs: LogCopy

    async def ended(self, run: Run, lease: RunLease) -> float | None:
        """Collect what is left; then delete, if asked; then, when LOST, look for late evidence for 14 days."""
        if await self.collecting(run):
            try:
                await self._collect(run, lease)
            except BackendError as error:
                wanted = run.delete_requested_at is None or run.delete_site_directory
                if wanted and not await self._long_collecting(run):
                    raise
                await self._incomplete(run, lease, error)
        if run.delete_requested_at is not None:
            return await self._delete(run, lease)
        if run.reason == Reason.LOST and run.ended_at is not None:
            return await self._sweep(run, lease)
        return None

    async def cancel_live(self, run: Run) -> float | None:
        """Pass a wanted cancel on to the site, again until the poller sees the end."""
        if run.cancel_requested_at is None or run.connection_id is None:
            return None
        job, handle = await self._job(run)
        if job is not None and handle is not None:
            await (await self.parts.sites.backend(run.connection_id)).cancel(JobRef(job.site_job_id, handle))
            async with self.parts.db.transaction() as session:
                record(session, run.id, "site", f"The site was asked to cancel job {job.site_job_id}.")
                await want(session, f"{PREFIX}{run.connection_id}", 0)
        return CANCEL_AGAIN_SECONDS

    async def _patience(self, run: Run) -> float:
        """Seconds after which a site has been waited for long enough: its `lostAfter` days."""
        async with self.parts.db.reading() as session:
            site = await session.get(Site, run.site_id) if run.site_id is not None else None
        return site.lost_after_days * DAY if site is not None else 0.0

    async def _too_late(self, run: Run, since: datetime | None) -> bool:
        return since is None or (clock.now() - since).total_seconds() > await self._patience(run)

    async def _long_collecting(self, run: Run) -> bool:
        """By our clock: that of the site may say that the run ended long ago."""
        patience = await self._patience(run)
        async with self.parts.db.reading() as session:
            return bool(await shown_for(session, [run.id], patience, ConditionName.COLLECTING))

    async def _incomplete(self, run: Run, lease: RunLease, error: BackendError) -> None:
        text = f"The rest of the log and files was not collected: {error.message}"
        await self._show(lease, ConditionName.OUTPUTS_INCOMPLETE, text)
        await self._collected(run, lease)

    async def collecting(self, run: Run) -> bool:
        """Whether log and files are still to be brought."""
        async with self.parts.db.reading() as session:
            return await session.get(Condition, (run.id, ConditionName.COLLECTING)) is not None

    async def _collect(self, run: Run, lease: RunLease) -> None:
        async with self.parts.db.reading() as session:
            job, handle = await current(session, run)
            others = await _never_ran(session, run, job)
            site = await session.get(Site, run.site_id) if run.site_id is not None else None
        if handle is not None and site is not None and run.connection_id is not None:
            backend = await self.parts.sites.backend(run.connection_id)
            for other in others:
                # Nothing to read there, and its `env` must not stay.
                await backend.remove(other, "attempt")
            if job is None:
                return await self._collected(run, lease)
            try:
                await self._tail(run, lease, job, backend, handle)
                async with self.parts.sites.turn(site):
                    await backend.finish(handle)
            except JobNotFound as error:
                await self._show(lease, ConditionName.FILES_GONE, f"The run's directory is gone: {error.message}")
            except InvalidJob as error:
                await self._show(lease, ConditionName.POST_RUN_FAILED, error.message)
        await self._collected(run, lease)

    async def _collected(self, run: Run, lease: RunLease) -> None:
        async with self.parts.db.transaction() as session:
            if await still_held(session, lease):
                await clear_conditions(session, run.id, ConditionName.COLLECTING, *OF_LIVE_RUNS)

    async def _tail(self, run: Run, lease: RunLease, job: Job, backend: Backend, handle: Handle) -> None:
        try:
            found = await backend.stat(handle, LOG)
        except JobNotFound:
            await backend.list(handle)  # raises JobNotFound when it is the directory that is gone
            return

        async def held(session: AsyncSession) -> bool:
            return await still_held(session, lease)

        await self.logs.copy(run, job, backend, handle, found.size, found.identity, held=held, whole=True)
        await self.logs.fill(run, job, backend, handle, found.identity, held=held)

    async def _show(self, lease: RunLease, name: ConditionName, text: str) -> None:
        async with self.parts.db.transaction() as session:
            if await still_held(session, lease):
                await set_condition(session, lease.run_id, name, text)

    async def _job(self, run: Run) -> tuple[Job | None, Handle | None]:
        async with self.parts.db.reading() as session:
            return await current(session, run)

    async def _delete(self, run: Run, lease: RunLease) -> float | None:
        _, handle = await self._job(run)
        if run.delete_site_directory and handle is not None and run.connection_id is not None:
            try:
                await (await self.parts.sites.backend(run.connection_id)).remove(handle)
            except BackendError as error:
                if not await self._too_late(run, run.delete_requested_at):
                    raise
                async with self.parts.db.transaction() as session:
                    record(session, run.id, "site", f"Its directory on the site was not removed: {error.message}")
        if run.mlflow_run_id is not None and run.origin == "submitted":
            try:
                await self.parts.tracking.delete_run(run.mlflow_run_id)
            except GatewayError as error:
                await self._show(lease, ConditionName.TRACKING_BEHIND, error.message)
                return DELETE_AGAIN_SECONDS
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return None
            chunks = (await session.scalars(select(LogChunk.blob_key).where(LogChunk.run_id == run.id))).all()
            await session.execute(delete(LogChunk).where(LogChunk.run_id == run.id))
            await session.execute(update(Run).where(Run.id == run.id).values(deleted_at=clock.now()))
            record(session, run.id, "intent", "Deleted.")
        for key in chunks:
            await self.parts.blobs.delete(key)
        return None

    async def _sweep(self, run: Run, lease: RunLease) -> float | None:
        """Evidence that came late reopens a LOST run."""
        async with self.parts.db.reading() as session:
            job, handle = await current(session, run)
        if job is None or handle is None or run.connection_id is None or await self._too_late(run, run.ended_at):
            return None
        backend = await self.parts.sites.backend(run.connection_id)
        ref = JobRef(job.site_job_id, handle)
        status = (await backend.poll([ref]))[ref]
        if status.phase is Phase.MISSING:
            return SWEEP_SECONDS
        if status.phase is Phase.ENDED:
            if status.outcome is None or status.outcome.reason is Reason.LOST:
                return SWEEP_SECONDS
            to = ending(run, status, status.outcome)
            if to.to is State.FAILED:
                # Known at last: FAILED stays FAILED, with its true reason.
                await self._know(run, lease, to.reason, to.text, to.exit_code)
                return None
        async with self.parts.db.transaction() as session:
            await reopen_journal(session, run.id)
            if status.phase is Phase.ENDED:
                if await move(session, run, to, guard=lease.guard, **spent(run, job, status)):
                    await set_condition(session, run.id, ConditionName.COLLECTING, "What came late is being collected.")
                return 0.0
            to = Move(STATES[status.phase], "The lost job was found again.", {"site": status.site_state})
            await want(session, f"{PREFIX}{run.connection_id}", 0)  # locked before its runs
            await move(session, run, to, guard=lease.guard)
        return None

    async def _know(self, run: Run, lease: RunLease, reason: Reason | None, text: str, exit_code: int | None) -> None:
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return
            values = {"reason": reason, "message": text, "exit_code": exit_code}
            due = {"tracking_due_at": later(session, 0)}
            await session.execute(update(Run).where(Run.id == run.id).values(**values, **due))
            record(session, run.id, "site", f"Evidence came late: {text}")


async def _never_ran(session: AsyncSession, run: Run, job: Job | None) -> list[Handle]:
    """Attempts whose code cannot run: without a location their `prepare` did not return, and the tag says what it
    may have left."""
    rows = await session.scalars(select(Attempt).where(Attempt.run_id == run.id))
    ran = job.attempt_id if job is not None else None
    return [Handle(attempt.tag, attempt.location or "") for attempt in rows if attempt.id != ran]


async def current(session: AsyncSession, run: Run) -> tuple[Job | None, Handle | None]:
    """The job that ran the run's code, if any, and where its files are: of the newest attempt where no job is known."""
    newest = select(Attempt).where(Attempt.run_id == run.id).order_by(Attempt.n.desc()).limit(1)
    attempt = await session.scalar(newest)
    job = await session.scalar(select(Job).where(Job.run_id == run.id, Job.current))
    if job is not None:
        attempt = await session.get(Attempt, job.attempt_id)
    handle = Handle(attempt.tag, attempt.location or "") if attempt is not None else None
    return job, handle
