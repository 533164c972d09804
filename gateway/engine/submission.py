"""From CREATED to a job on the site: plan, prepare, submit. Each intent is committed before its act."""

import asyncio
import uuid
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.backend import Backend
from backends.errors import InvalidJob, SubmitUncertain
from backends.reasons import Reason
from backends.spec import DirectoryGone, Handle, JobRef, JobSpec, RenderedJob, Revoked
from gateway import clock
from gateway.engine.environment import job_environment
from gateway.engine.notices import address
from gateway.engine.onward import PLANNED, Onward, Prepared, new_attempt
from gateway.engine.parts import DAY, LOST_AFTER_DAYS, Parts, back_off
from gateway.engine.sites import NoTurn
from gateway.repositories.rows import ExperimentRepository
from gateway.runs.lease import RunLease, still_held
from gateway.runs.moves import Move, clear_conditions, move, set_condition, shown_for
from gateway.runs.plan import PlanRefused
from gateway.runs.rows import Attempt, Condition, Manifest, Run
from gateway.runs.states import NO_CONTACT, OF_LIVE_RUNS, ConditionName, State
from gateway.sites.rows import Site
from gateway.together import Together
from gateway.tracking import tokens

AGAIN, ON, RELEASED = 0.0, -1.0, -2.0
NEXT_TURN_SECONDS = 2.0
CANCEL_LOOK_SECONDS = 2.0
"""How often a long preparation asks whether it is still wanted."""
LEFT = "What is left on the site is removed."


class Submission:
    """The steps of one run on its way to the site. Each returns seconds until the next look, None for none; ON when
    the run is up to date in memory and goes on, RELEASED when its lease was given back."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._onward = Onward(parts.db)
        self._experiment = Together(self._experiments)
        self._known: dict[tuple[uuid.UUID, int], Prepared] = {}
        """What the step before found out under the lease we hold; the next one takes it out."""

    async def aclose(self) -> None:
        await self._onward.aclose()
        await self._experiment.aclose()

    async def _experiments(self, ids: Sequence[uuid.UUID]) -> list[tuple[str, str]]:
        """Name of each experiment repository, and MLflow's id of it as far as that is known."""
        columns = (ExperimentRepository.name, ExperimentRepository.mlflow_experiment_id)
        async with self.parts.db.reading() as session:
            rows = select(ExperimentRepository.id, *columns).where(ExperimentRepository.id.in_(set(ids)))
            known = {row.id: (row.name, row.mlflow_experiment_id or "") for row in await session.execute(rows)}
        return [known.get(one, ("", "")) for one in ids]

    async def created(self, run: Run, lease: RunLease) -> float | None:
        """Plan and fix the manifest; nothing has gone to the site yet."""
        if run.cancel_requested_at is not None:
            return await self._cancelled(run, lease, "Cancelled before anything was sent to the site.")
        if run.commit is not None and await self._shown_before(run, lease):
            return AGAIN
        try:
            plan = await self.parts.planner.plan(run)
        except PlanRefused as error:
            return await self._end(run, lease, Move(State.FAILED, error.message, _words(error.text), error.reason))
        prepared = await self._onward.planned(run, lease, plan)
        if prepared is None:
            return AGAIN
        self._known[run.id, lease.epoch] = prepared
        return ON

    async def _shown_before(self, run: Run, lease: RunLease) -> bool:
        """Whether the run is just as its preview was: the manifest is there."""
        async with self.parts.db.transaction() as session:
            if await session.get(Manifest, run.id) is None:
                return False
            await move(session, run, PLANNED, guard=lease.guard)
            await clear_conditions(session, run.id, *NO_CONTACT)
        return True

    async def preparing(self, run: Run, lease: RunLease) -> float | None:
        """Lay out the next attempt on the site; store its handle before anything is started."""
        known = self._known.pop((run.id, lease.epoch), None)
        untried = known is not None
        if run.cancel_requested_at is not None:
            return await self._cancelled(run, lease, "Cancelled before it was submitted.")
        try:
            async with await self._turn(run, known):
                if known is None and (known := await self._known_anew(run, lease)) is None:
                    return None  # another has the run
                handle = await self._laid_out(run, known, untried)
        except NoTurn:
            return NEXT_TURN_SECONDS
        except _Unwanted:
            return AGAIN
        except (InvalidJob, PlanRefused) as error:
            return await self._end(run, lease, Move(State.FAILED, error.message, _words(error.text), error.reason))
        if not await self._onward.laid_out(run, lease, known.attempt, handle):
            return AGAIN
        known.attempt.location = handle.location
        self._known[run.id, lease.epoch] = known
        return ON

    async def _turn(self, run: Run, known: Prepared | None) -> AbstractAsyncContextManager[None]:
        """Of those whose commands work on the login nodes only so many at a time are let in."""
        if known is not None:
            commands, site = known.manifest.login_commands_before, known.site
        else:
            async with self.parts.db.reading() as session:
                commands = (await session.get_one(Manifest, run.id)).login_commands_before
                site = await session.get_one(Site, run.site_id)
        return self.parts.sites.turn(site) if commands else nullcontext()

    async def _known_anew(self, run: Run, lease: RunLease) -> Prepared | None:
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return None
            attempt = await _open_attempt(session, run)
            manifest = await session.get_one(Manifest, run.id)
            site = await session.get_one(Site, run.site_id)
            token, row = tokens.new(run.id, attempt.n)
            session.add(row)
        return Prepared(manifest, attempt, site, token)

    async def _laid_out(self, run: Run, known: Prepared, untried: bool) -> Handle:
        experiment = await self._experiment(run.experiment_repository_id)
        environment = job_environment(self.parts.settings, run, known.site, known.token, experiment)
        spec = await self._spec(run, known.manifest, known.attempt, environment)
        spec = replace(spec, notify=address(self.parts, known.site, run.id, known.attempt.n), untried=untried)
        backend = await self.parts.sites.backend(_connection(run))
        return await self._while_wanted(run, _lay_out(backend, spec))

    async def _while_wanted(self, run: Run, work: Awaitable[Handle]) -> Handle:
        """The result of a long preparation, which is broken off when the run is cancelled meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=CANCEL_LOOK_SECONDS))[0]:
                async with self.parts.db.reading() as session:
                    if await session.scalar(select(Run.cancel_requested_at).where(Run.id == run.id)) is not None:
                        raise _Unwanted
            return task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task

    async def out_of_reach(self, run: Run, lease: RunLease, why: str) -> bool:
        """End a run whose site has not answered for the site's `lostAfter` days; True when that is so.

        What may have been submitted is LOST and never submitted again; what surely was not has failed."""
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return False
            site = await session.get(Site, run.site_id) if run.site_id is not None else None
            days = site.lost_after_days if site is not None else LOST_AFTER_DAYS
            if not await shown_for(session, [run.id], days * DAY, *NO_CONTACT):
                return False
            to = _given_up(State(run.state), days, why)
            if not await move(session, run, to, guard=lease.guard):
                return False
            await clear_conditions(session, run.id, *OF_LIVE_RUNS)
            await set_condition(session, run.id, ConditionName.COLLECTING, LEFT)
        return True

    async def submitting(self, run: Run, lease: RunLease) -> float | None:
        """Start the prepared attempt, or find out what became of an earlier start."""
        known, unclear = self._known.pop((run.id, lease.epoch), None), None
        if known is not None:
            attempt = known.attempt
        else:
            async with self.parts.db.reading() as session:
                attempt = await _newest_attempt(session, run)
                unclear = await session.get(Condition, (run.id, ConditionName.SUBMIT_UNKNOWN))
        handle = Handle(attempt.tag, attempt.location or "")
        backend = await self.parts.sites.backend(_connection(run))
        if run.cancel_requested_at is not None:
            return await self._give_up(run, lease, attempt, backend, handle)
        if unclear is not None:
            # The fence may be seized already: a job that `start` would find now could never run.
            return await self._seize(run, lease, attempt, backend, handle, unclear.text)
        try:
            ref = await backend.start(handle)
        except InvalidJob as error:
            return await self._refused(run, lease, attempt, backend, handle, error)
        except SubmitUncertain as error:
            return await self._seize(run, lease, attempt, backend, handle, error.message)
        return await self._submitted(run, lease, attempt, ref, "The site took the job.")

    async def _refused(
        self, run: Run, lease: RunLease, attempt: Attempt, backend: Backend, handle: Handle, error: InvalidJob
    ) -> float | None:
        """The site says no. An earlier `start` whose reply was lost may have made a job: the fence says whether."""
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return None
        fence = await backend.revoke(handle)
        if isinstance(fence, JobRef):
            return await self._submitted(run, lease, attempt, fence, "The fence names the job.")
        for ref in (await backend.find(handle.tag)).refs:
            await backend.cancel(ref)
        return await self._end(run, lease, Move(State.FAILED, error.message, _words(error.text), error.reason))

    async def _give_up(
        self, run: Run, lease: RunLease, attempt: Attempt, backend: Backend, handle: Handle
    ) -> float | None:
        """Cancel was asked for and a job may exist: one that is found is followed, else the fence decides."""
        found = await backend.find(handle.tag)
        if found.refs:
            return await self._submitted(run, lease, attempt, found.refs[0], "The job was found by its tag.")
        return await self._seize(run, lease, attempt, backend, handle, "Cancel was requested.")

    async def _seize(
        self, run: Run, lease: RunLease, attempt: Attempt, backend: Backend, handle: Handle, why: str
    ) -> float | None:
        async with self.parts.db.transaction() as session:
            if not await still_held(session, lease):
                return None  # another may follow a job of this attempt by now
            await set_condition(session, run.id, ConditionName.SUBMIT_UNKNOWN, why)
        result = await backend.revoke(handle)
        if isinstance(result, JobRef):
            return await self._submitted(run, lease, attempt, result, "The fence names the job.")
        if isinstance(result, DirectoryGone):
            text = "It is not known whether the job was submitted, and its directory on the site is gone."
            return await self._end(run, lease, Move(State.FAILED, text, {"attempt": attempt.n}, Reason.LOST))
        assert isinstance(result, Revoked)  # noqa: S101  the last of three
        return await self._revoked(run, lease, attempt, backend, handle)

    async def _revoked(
        self, run: Run, lease: RunLease, attempt: Attempt, backend: Backend, handle: Handle
    ) -> float | None:
        for ref in (await backend.find(handle.tag)).refs:
            # It can never run our code; out of the queue it goes all the same.
            await backend.cancel(ref)
        evidence = {"attempt": attempt.n, "fence": "revoked"}
        async with self.parts.db.transaction() as session:
            if run.cancel_requested_at is not None:
                text = "Cancelled: no copy of the job can run."
                to = Move(State.CANCELLED, text, evidence, Reason.CANCELLED_BY_USER)
            else:
                to = Move(State.PREPARING, f"Attempt {attempt.n} was revoked; another one follows.", evidence)
            if await move(session, run, to, guard=lease.guard):
                values = update(Attempt).where(Attempt.id == attempt.id).values(revoked_at=clock.now())
                await session.execute(values)
                await clear_conditions(session, run.id, ConditionName.SUBMIT_UNKNOWN)
                if to.to is State.CANCELLED:
                    await set_condition(session, run.id, ConditionName.COLLECTING, LEFT)
        # A site that keeps leaving it open is not asked without a pause.
        return AGAIN if attempt.n < 2 else back_off(attempt.n)

    async def _submitted(self, run: Run, lease: RunLease, attempt: Attempt, ref: JobRef, text: str) -> float | None:
        return RELEASED if await self._onward.submitted(run, lease, attempt, ref, text) else AGAIN

    async def _cancelled(self, run: Run, lease: RunLease, text: str) -> float:
        # Only an attempt in SUBMITTING can have been started; the earlier ones are revoked.
        return await self._end(run, lease, Move(State.CANCELLED, text, {}, Reason.CANCELLED_BY_USER))

    async def _end(self, run: Run, lease: RunLease, to: Move) -> float:
        async with self.parts.db.transaction() as session:
            if await move(session, run, to, guard=lease.guard):
                await clear_conditions(session, run.id, *OF_LIVE_RUNS)
                await set_condition(session, run.id, ConditionName.COLLECTING, LEFT)
        return AGAIN

    async def _spec(self, run: Run, manifest: Manifest, attempt: Attempt, environment: dict[str, str]) -> JobSpec:
        job = RenderedJob(
            script=manifest.script,
            submit_command=tuple(manifest.submit_command),
            login_commands_before=tuple(manifest.login_commands_before),
            login_commands_after=tuple(manifest.login_commands_after),
            project_path=manifest.project_path,
            git_ref=manifest.commit,
        )
        code = await self.parts.planner.bundle_again(run, manifest)
        return JobSpec(str(run.id), attempt.n, run.name, str(run.lineage_id), job, code, environment)


class _Unwanted(Exception):
    """The run was cancelled while it was prepared."""


async def _lay_out(backend: Backend, spec: JobSpec) -> Handle:
    await backend.stage(spec.code)
    return await backend.prepare(spec)


def _given_up(state: State, days: int, why: str) -> Move:
    evidence = {"site": why, "days": days}
    if state is State.SUBMITTING:
        text = f"The site was out of reach for {days} days; it is not known whether the job was submitted."
        return Move(State.FAILED, text, evidence, Reason.LOST)
    text = f"Nothing was submitted in {days} days: {why} Submit the run again when that is mended."
    return Move(State.FAILED, text, evidence, Reason.PREPARE_FAILED)


def _connection(run: Run) -> uuid.UUID:
    assert run.connection_id is not None  # noqa: S101  a submitted run has one
    return run.connection_id


def _words(text: str) -> dict[str, str]:
    return {"site": text} if text else {}


def _attempts(run: Run):  # type: ignore[no-untyped-def]
    return select(Attempt).where(Attempt.run_id == run.id).order_by(Attempt.n.desc())


async def _newest_attempt(session: AsyncSession, run: Run) -> Attempt:
    attempt: Attempt = (await session.scalars(_attempts(run).limit(1))).one()
    return attempt


async def _open_attempt(session: AsyncSession, run: Run) -> Attempt:
    """The attempt that is being prepared; a new one after a revoked one."""
    newest: Attempt | None = await session.scalar(_attempts(run).limit(1))
    if newest is not None and newest.revoked_at is None:
        return newest
    n = newest.n + 1 if newest is not None else 1
    attempt = new_attempt(run.id, n)
    session.add(attempt)
    await session.flush()
    return attempt
