"""The engine: claims what is due, does one step of it, gives it back. Loops that only call the parts beside it."""

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlalchemy import and_, delete, not_, or_, select
from sqlalchemy.exc import DBAPIError

from backends.errors import AuthenticationFailed, BackendError, ChallengeRequired
from gateway import clock
from gateway.connections import retirement
from gateway.db.lease import NamedLease, any_due, claim_named, free_named, release_named, renew_named
from gateway.engine.collector import Collector
from gateway.engine.log_copy import LogCopy
from gateway.engine.notices import Notices
from gateway.engine.orphans import SWEEP_SECONDS, Orphans
from gateway.engine.parts import Parts, back_off
from gateway.engine.poller import PREFIX, Poller
from gateway.engine.postman import ROUND_SECONDS, Postman
from gateway.engine.replay import Replay, free_journals
from gateway.engine.retention import SWEEP_SECONDS as RETENTION_SECONDS
from gateway.engine.retention import Retention
from gateway.engine.sites import NoTurn, SitePaused
from gateway.engine.submission import AGAIN, NEXT_TURN_SECONDS, ON, RELEASED, Submission
from gateway.engine.tracker import Tracker
from gateway.errors import GatewayError
from gateway.models.passes import LEAST_PAUSE
from gateway.models.sweep import SWEEP_SECONDS as REGISTRY_SECONDS
from gateway.models.sweep import sweep as sweep_registry
from gateway.models.upkeep import Upkeep
from gateway.runs.intake import KEPT
from gateway.runs.lease import RunLease, claim_runs, free_runs, release_run, renew_runs, still_held
from gateway.runs.moves import no_contact
from gateway.runs.plan import PlanDelayed
from gateway.runs.rows import IdempotencyKey, Run
from gateway.runs.states import FINAL, ConditionName, State
from gateway.runs.sweep import sweep
from gateway.schedules import rounds
from gateway.schedules.sweep import sweep as sweep_schedules
from gateway.secrets.notification import Told
from gateway.tracking.proxy import TrackingProxy

log = logging.getLogger(__name__)
IDLE_SECONDS = 0.5
TOGETHER_SECONDS, CROWDED_SECONDS = 0.02, 0.2
HOUSEKEEPING_SECONDS = 300.0
ASIDE_SECONDS = 4.0
"""A sweep over a site is so much later while runs wait for their turn to be submitted: those go first."""
REPLAY_SECONDS = 1.0
REPLAY_CALL_SECONDS = 60.0
"""For one call to MLflow: nobody waits for it."""
ON_ITS_WAY = (State.CREATED, State.PREPARING)
"""Both are one long step: code is fetched, and brought to the site."""
BROKEN = "The gateway could not do the next step of this run and tries again; its operator finds why in its log."


def new_owner() -> str:
    """A name for this process, never used before: a restarted gateway is another one."""
    return f"{socket.gethostname()}-{secrets.token_hex(6)}"


def _long(run: Run) -> bool:
    """Whether its next step may take as long as the commands of a user on a login node do."""
    if run.origin == "reported":
        return False
    if run.state in ON_ITS_WAY:
        return run.cancel_requested_at is None
    return run.state in FINAL and run.delete_requested_at is None


LONG = and_(
    Run.origin != "reported",
    or_(
        and_(Run.state.in_(ON_ITS_WAY), Run.cancel_requested_at.is_(None)),
        and_(Run.state.in_(FINAL), Run.delete_requested_at.is_(None)),
    ),
)
"""As `_long` says it, in the words of the database."""


class Engine:
    """Runs until it is stopped. Stopped in the middle of a step, the step is repeated by whoever claims it next."""

    def __init__(self, parts: Parts, *, at_once: int = 100, long_at_once: int = 80) -> None:
        self.parts = parts
        self.tracker = Tracker(parts)
        logs = LogCopy(parts)
        self._submission = Submission(parts)
        self._collector = Collector(parts, logs)
        self._poller = Poller(parts, logs)
        self._notices = Notices(parts, self._poller)
        self._orphans = Orphans(parts)
        self._replay = Replay(parts, TrackingProxy(parts.db, parts.tracking, seconds=REPLAY_CALL_SECONDS), self._spawn)
        self._models = Upkeep(parts.db, parts.tracking)
        self._postman = Postman(parts, self._spawn)
        self._at_once = at_once
        self._long_at_once = long_at_once
        """Long steps leave room for the others: a cancel is never behind the commands of other users."""
        self._lease_seconds = parts.settings.lease_seconds
        self._leases: dict[object, RunLease] = {}
        self.retention = Retention(parts, self._leases)
        self._long: set[object] = set()
        self._ticks: dict[str, NamedLease] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._fires = False
        self._stopping = False

    async def start(self) -> None:
        if self.parts.settings.embedded:
            # The lock of the data directory says that there is no other gateway: what a killed one held is free.
            async with self.parts.db.transaction() as session:
                await free_runs(session)
                await free_named(session)
                await free_journals(session)
        loops = {
            "runs": (self._runs, IDLE_SECONDS),
            "polls": (self._polls, IDLE_SECONDS),
            "notices": (self._notices.round, IDLE_SECONDS),
            "orphans": (self._orphans.sweep, SWEEP_SECONDS),
            "tracking": (self._tracking, IDLE_SECONDS),
            "replay": (self._replay.turn, REPLAY_SECONDS),
            "schedules": (self._schedules, IDLE_SECONDS),
            "models": (self._models.turn, LEAST_PAUSE),
            "registry": (self._registry, REGISTRY_SECONDS),
            "messages": (self._postman.round, ROUND_SECONDS),
            "retention": (self.retention.round, RETENTION_SECONDS),
            "renewal": (self._renew, self._lease_seconds / 4),
            "housekeeping": (self._housekeeping, HOUSEKEEPING_SECONDS),
        }
        self._loops = [asyncio.create_task(self._forever(f, s), name=f"engine-{n}") for n, (f, s) in loops.items()]

    async def stop(self) -> None:
        """Steps are broken off where they are; their leases are given back, so that another gateway goes on at once."""
        self._stopping = True
        tasks = [*self._loops, *self._work]
        held, ticks = list(self._leases.values()), self._named()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._submission.aclose()
        async with self.parts.db.transaction() as session:
            for lease in held:
                await release_run(session, lease, due_in=0)
            for tick in ticks:
                await release_named(session, tick, due_in=0)
        await self.parts.sites.close()

    def wake(self) -> None:
        """Something is due now: look at once instead of at the next round."""
        self._wake.set()

    def tell(self, about: Told, authorization: str, body: bytes) -> None:
        """A site told of a job: it is looked at in the next round."""
        self._notices.take(about, authorization, body)

    async def _forever(self, act: Callable[[], Awaitable[bool | None]], seconds: float) -> None:
        """Call `act` for ever; it returns True when there may be more to do at once."""
        failures = 0
        while not self._stopping:
            try:
                more = await act()
                failures = 0
            except Exception:  # the loop outlives any fault of the database
                log.exception("a round of the engine failed")
                more, failures = False, failures + 1
            if more:
                continue
            pause = seconds if failures == 0 else back_off(failures, 0.5, 30.0)
            if act == self._runs:
                await self._pause(pause)
            else:
                await asyncio.sleep(pause)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        # What comes in a burst is claimed together, and of those that wait for a place several.
        await asyncio.sleep(CROWDED_SECONDS if self._crowded else TOGETHER_SECONDS)
        self._wake.clear()

    @property
    def _crowded(self) -> bool:
        """Whether runs may wait for a place among those that are worked on."""
        return len(self._leases) + 1 >= self._at_once or len(self._long) + 1 >= self._long_at_once

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _runs(self) -> bool:
        who = self.parts.owner, self._lease_seconds
        free = self._at_once - len(self._leases)
        if free <= 0 or self._fires:
            return False
        room = self._long_at_once - len(self._long)
        async with self.parts.db.transaction() as session:
            if room >= free:
                claimed = list(await claim_runs(session, *who, free))
            else:
                claimed = list(await claim_runs(session, *who, free, not_(LONG)))
                if min(free - len(claimed), room) > 0:
                    claimed += await claim_runs(session, *who, min(free - len(claimed), room), LONG)
        for run, lease in claimed:
            self._leases[run.id] = lease
            if _long(run):
                self._long.add(run.id)
            self._spawn(self._step(run, lease))
        return False

    def _has_room(self, run: Run) -> bool:
        """Count a run whose next step is a long one, if there is room for it among those."""
        self._long.discard(run.id)
        if _long(run):
            if len(self._long) >= self._long_at_once:
                return False
            self._long.add(run.id)
        return True

    async def _step(self, run: Run, lease: RunLease) -> None:
        due_in: float | None = None
        try:
            due_in = await self._steps(run, lease)
        finally:
            if self._leases.get(run.id) is lease:
                del self._leases[run.id]
            self._long.discard(run.id)
        if due_in == AGAIN or self._crowded:
            self.wake()

    async def _steps(self, run: Run, lease: RunLease) -> float | None:
        """Steps of one run while they follow at once; then the lease is given back."""
        due_in: float | None = 0.0
        failures = run.failures
        try:
            while due_in in (AGAIN, ON):
                due_in = await self._one(run, lease)
                failures = 0
                if due_in == AGAIN:
                    current = await self._load(lease)
                    if current is None or not self._has_room(current):
                        break
                    run = current
        except NoTurn:
            due_in = NEXT_TURN_SECONDS
        except (AuthenticationFailed, ChallengeRequired) as error:
            # Waiting costs the site nothing: a refused version is not tried again until its owner acts.
            due_in = await self._silent(run, lease, ConditionName.NEEDS_LOGIN, error, 15.0)
        except (BackendError, PlanDelayed, GatewayError) as error:
            failures += 1
            due_in = await self._silent(run, lease, ConditionName.LOST_CONTACT, error, back_off(failures))
        except Exception:
            log.exception("a step of run %s failed", run.id)
            failures += 1
            due_in = back_off(failures, 5.0)
            with suppress(DBAPIError):
                await self._silent(run, lease, ConditionName.LOST_CONTACT, RuntimeError(BROKEN), due_in)
        if due_in != RELEASED:
            async with self.parts.db.transaction() as session:
                await release_run(session, lease, due_in=due_in, failures=failures)
        return due_in

    async def _one(self, run: Run, lease: RunLease) -> float | None:
        state = State(run.state)
        if run.origin == "reported":
            return await self._collector.ended(run, lease) if run.delete_requested_at else None
        if state is State.CREATED:
            return await self._submission.created(run, lease)
        if state is State.PREPARING:
            return await self._submission.preparing(run, lease)
        if state is State.SUBMITTING:
            return await self._submission.submitting(run, lease)
        if state in FINAL:
            return await self._collector.ended(run, lease)
        return await self._collector.cancel_live(run)

    async def _load(self, lease: RunLease) -> Run | None:
        """The run as it is now; None when it is another's by now, who does its next step."""
        async with self.parts.db.reading() as session:
            run: Run | None = await session.scalar(select(Run).where(Run.id == lease.run_id, lease.guard))
            return run

    async def _silent(
        self, run: Run, lease: RunLease, name: ConditionName, error: Exception, due_in: float
    ) -> float | None:
        """Show that nothing can be asked; after the site's `lostAfter` days a run on its way there ends."""
        if State(run.state) not in FINAL or await self._collector.collecting(run):
            await self._show(lease, name, str(error))
        on_its_way = run.state in (State.CREATED, State.PREPARING, State.SUBMITTING)
        if on_its_way and not isinstance(error, SitePaused):
            return 0.0 if await self._submission.out_of_reach(run, lease, str(error)) else due_in
        return due_in

    async def _show(self, lease: RunLease, name: ConditionName, text: str) -> None:
        async with self.parts.db.transaction() as session:
            if await still_held(session, lease):
                await no_contact(session, lease.run_id, name, text)

    async def _polls(self) -> bool:
        waited = ASIDE_SECONDS if self._crowded else 0.0
        async with self.parts.db.reading() as session:
            if not await any_due(session, [PREFIX], waited=waited):
                return False
        async with self.parts.db.transaction() as session:
            leases = await claim_named(session, self.parts.owner, PREFIX, self._lease_seconds, 20, waited=waited)
        for lease in leases:
            self._ticks[lease.name] = lease
            self._spawn(self._tick(lease))
        return False

    async def _tick(self, lease: NamedLease) -> None:
        due_in: float | None = 15.0
        try:
            due_in = await self._poller.tick(lease)
        except Exception:
            log.exception("a poll of %s failed", lease.name)
        try:
            async with self.parts.db.transaction() as session:
                await release_named(session, lease, due_in=due_in)
        finally:
            if self._ticks.get(lease.name) is lease:
                del self._ticks[lease.name]

    async def _tracking(self) -> bool:
        return await self.tracker.turn(busy=bool(self._leases))

    async def _schedules(self) -> bool:
        more = False
        try:
            done = await rounds.go(self.parts.db, self.parts.settings)
            more = done.more
        finally:
            # What is due at one minute is written down before the first of it is brought to a site.
            self._fires = more
        if done.made and not done.more:
            self.wake()
        return done.more

    async def _registry(self) -> None:
        await sweep_registry(self.parts.db, self.parts.tracking)

    async def _renew(self) -> None:
        # Apart, for others lock runs and named leases in either order: together they could wait for each other.
        async with self.parts.db.transaction() as session:
            for lease in self._named():
                await renew_named(session, lease, self._lease_seconds)
        async with self.parts.db.transaction() as session:
            await renew_runs(session, list(self._leases.values()), self._lease_seconds)

    def _named(self) -> list[NamedLease]:
        """The named leases that are held, in the order in which all lock them who lock many."""
        return sorted([*self._ticks.values(), *self._postman.held.values()], key=lambda lease: lease.name)

    async def _housekeeping(self) -> None:
        async with self.parts.db.transaction() as session:
            await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < clock.now() - KEPT))
        await retirement.sweep(self.parts.db, self.parts.sites.vault)
        await sweep_schedules(self.parts.db, self.parts.settings)
        await self._postman.sweep()
        await self.parts.sites.close_idle()
        await sweep(self.parts.db, self.parts.settings, self.parts.planner)
