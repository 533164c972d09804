"""Copies what jobs track beside themselves into MLflow, also while they run: whose turn it is, and what is shown."""

import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backends.errors import BackendError
from backends.spec import Handle
from gateway import clock
from gateway.db.lease import later
from gateway.engine.journal_copy import HELD_SECONDS, Hopeless, JournalCopy, Overtaken
from gateway.engine.parts import DAY, LOST_AFTER_DAYS, Parts, back_off
from gateway.errors import GatewayError
from gateway.runs.moves import clear_conditions, record, set_condition
from gateway.runs.rows import Attempt, Condition, Job, Run
from gateway.runs.states import FINAL, ConditionName, State
from gateway.sites.rows import Site
from gateway.tracking.proxy import TrackingProxy
from gateway.tracking.rows import TrackingJournal
from gateway.users.caller import Caller

log = logging.getLogger(__name__)
AT_ONCE, AT_ONCE_EACH = 16, 4
"""Journals under work, in all and of one user."""
PAUSE_SECONDS = 10.0
"""Between two looks at the journal of a job that runs."""
SOON_SECONDS = 5.0
"""The same, of a job that has ended and whose last line is not there yet."""
END_SECONDS = 120.0
"""A job that was killed writes no last line: so long after the end it is not waited for any more."""
NEVER_SECONDS = 60.0
"""The same for the whole journal: a network file system may not show a new directory for so long."""


@dataclass(slots=True)
class Replay:
    """Safe to repeat and to race; the note of how far it came is taken only from where it was."""

    parts: Parts
    proxy: TrackingProxy
    spawn: Callable[[Awaitable[None]], None]
    """Starts a task that the engine breaks off when it stops."""
    _busy: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    """Runs under work, and as whom they act."""

    async def turn(self) -> None:
        """Begin with the journals that are due, as far as there is room beside those under work."""
        if len(self._busy) < AT_ONCE:
            for run_id, epoch in await self.claim(AT_ONCE - len(self._busy)):
                self.spawn(self.one(run_id, epoch))

    async def claim(self, limit: int) -> Sequence[tuple[uuid.UUID, int]]:
        """Runs whose journal is due, ours for a while, each with the number of this claim."""
        async with self.parts.db.reading() as session:  # costs no writer's lock while there is nothing to do
            soon = TrackingJournal.due_at <= later(session, PAUSE_SECONDS)
            if await session.scalar(select(TrackingJournal.run_id).where(soon).limit(1)) is None:
                return []
        full = [user for user, count in Counter(self._busy.values()).items() if count >= AT_ONCE_EACH]
        async with self.parts.db.transaction() as session:
            just_ended = and_(
                Run.ended_at >= later(session, -PAUSE_SECONDS),
                TrackingJournal.failures == 0,
                TrackingJournal.due_at <= later(session, PAUSE_SECONDS),
            )
            rows = await session.execute(
                select(TrackingJournal.run_id, TrackingJournal.epoch, Run.run_as)
                .join(Run, Run.id == TrackingJournal.run_id)
                .where(or_(TrackingJournal.due_at <= later(session, 0), just_ended))
                .where(_ran(), Run.deleted_at.is_(None))
                .where(TrackingJournal.run_id.not_in(list(self._busy)), Run.run_as.not_in(full))
                .order_by(TrackingJournal.due_at)
                .limit(limit)
                .with_for_update(skip_locked=True, of=TrackingJournal)
            )
            claimed = rows.all()
            found = [(row.run_id, row.epoch + 1) for row in claimed]
            held = update(TrackingJournal).where(TrackingJournal.run_id.in_([run_id for run_id, _ in found]))
            values = {"epoch": TrackingJournal.epoch + 1, "due_at": later(session, HELD_SECONDS)}
            await session.execute(held.values(**values).execution_options(synchronize_session=False))
        self._busy |= {row.run_id: row.run_as for row in claimed}
        return found

    async def one(self, run_id: uuid.UUID, epoch: int) -> None:
        """All that is new in a journal that was claimed, and when to look again."""
        try:
            await self._all(run_id, epoch)
        except Overtaken:
            return
        except Hopeless as error:
            await self._give_up(run_id, epoch, str(error))
        except BackendError as error:
            await self._held_up(run_id, epoch, error.message)
        except GatewayError as error:
            await self._held_up(run_id, epoch, error.detail)
        except Exception:
            log.exception("what run %s tracked was not copied", run_id)
            await self._held_up(run_id, epoch, "the gateway could not do it; its operator finds why in its log.")
        finally:
            self._busy.pop(run_id, None)

    async def _all(self, run_id: uuid.UUID, epoch: int) -> None:
        copy = await self._open(run_id, epoch)
        if copy is None:
            return await self._put_off(run_id, epoch)
        if await copy.go_on():
            return await self._soon(copy)
        await self._looked(copy)

    async def _open(self, run_id: uuid.UUID, epoch: int) -> JournalCopy | None:
        """None when there is no job whose journal could be read."""
        async with self.parts.db.reading() as session:
            found = await session.execute(
                select(Run, TrackingJournal, Attempt)
                .join(TrackingJournal, TrackingJournal.run_id == Run.id)
                .join(Job, (Job.run_id == Run.id) & Job.current)
                .join(Attempt, Attempt.id == Job.attempt_id)
                .where(Run.id == run_id)
            )
            row = found.first()
        if row is None:
            return None
        run, journal, attempt = row
        if run.connection_id is None:
            return None
        backend = await self.parts.sites.backend(run.connection_id)
        caller = Caller(run.run_as, "", run_id=run.id, project_id=run.project_id)
        return JournalCopy(
            self.parts, self.proxy, run, journal, epoch, backend, Handle(attempt.tag, attempt.location or ""), caller
        )

    async def _looked(self, copy: JournalCopy) -> None:
        """Decide when to look next, and show what a person should know."""
        async with self.parts.db.transaction() as session:
            run = await session.get_one(Run, copy.run.id)
            final, ended_at = State(run.state) in FINAL, run.ended_at
            there = await session.get(Condition, (run.id, ConditionName.COLLECTING)) is not None
            waited = ended_at is not None and (clock.now() - ended_at).total_seconds() > END_SECONDS
            late = ended_at is not None and (clock.now() - ended_at).total_seconds() > NEVER_SECONDS
            never = copy.journal.position == 0 and not there and late
            if not final:
                await clear_conditions(session, run.id, ConditionName.TRACKING_NOT_COPIED)
                return await self._due_in(session, run.id, copy.epoch, PAUSE_SECONDS)
            if not (copy.journal.ended or waited or never):
                return await self._due_in(session, run.id, copy.epoch, SOON_SECONDS)
            await clear_conditions(session, run.id, ConditionName.TRACKING_NOT_COPIED)
            if text := _incomplete(copy.journal):
                await set_condition(session, run.id, ConditionName.TRACKING_INCOMPLETE, text)
            elif copy.journal.position:
                record(session, run.id, "tracking", "What the job tracked beside itself stands in MLflow.")
            await self._due_in(session, run.id, copy.epoch, None)

    async def _soon(self, copy: JournalCopy) -> None:
        """There is more, and others have their turn first."""
        async with self.parts.db.transaction() as session:
            await self._due_in(session, copy.run.id, copy.epoch, 0)

    async def _give_up(self, run_id: uuid.UUID, epoch: int, text: str) -> None:
        async with self.parts.db.transaction() as session:
            await self._given_up(session, run_id, epoch, text)

    async def _given_up(self, session: AsyncSession, run_id: uuid.UUID, epoch: int, text: str) -> None:
        await clear_conditions(session, run_id, ConditionName.TRACKING_NOT_COPIED)
        await set_condition(session, run_id, ConditionName.TRACKING_INCOMPLETE, f"It was given up: {text}")
        await self._due_in(session, run_id, epoch, None)

    async def _held_up(self, run_id: uuid.UUID, epoch: int, text: str) -> None:
        """Try again later; a run that has ended, or whose copy waits for long, shows why."""
        async with self.parts.db.transaction() as session:
            run = await session.get_one(Run, run_id)
            journal = await session.get_one(TrackingJournal, run_id)
            if journal.epoch != epoch:
                return
            journal.failures += 1
            if await self._too_late(session, run):
                return await self._given_up(session, run_id, epoch, text)
            if State(run.state) in FINAL or journal.failures > 2:
                await set_condition(session, run_id, ConditionName.TRACKING_NOT_COPIED, f"It is tried again: {text}")
            await self._due_in(session, run_id, epoch, back_off(journal.failures, 2.0, 120.0))

    async def _too_late(self, session: AsyncSession, run: Run) -> bool:
        """Whether the run ended more than its site's `lostAfterDays` ago."""
        site = await session.get(Site, run.site_id) if run.site_id is not None else None
        days = site.lost_after_days if site is not None else LOST_AFTER_DAYS
        return run.ended_at is not None and (clock.now() - run.ended_at).total_seconds() > days * DAY

    async def _put_off(self, run_id: uuid.UUID, epoch: int) -> None:
        """There is nothing that could be read."""
        async with self.parts.db.transaction() as session:
            await self._due_in(session, run_id, epoch, None)

    async def _due_in(self, session: AsyncSession, run_id: uuid.UUID, epoch: int, seconds: float | None) -> None:
        due = later(session, seconds) if seconds is not None else None
        ours = (TrackingJournal.run_id == run_id, TrackingJournal.epoch == epoch)
        row = update(TrackingJournal).where(*ours).values(due_at=due)
        await session.execute(row.execution_options(synchronize_session=False))


async def reopen_journal(session: AsyncSession, run_id: uuid.UUID) -> None:
    """A run that was taken for lost was found: its job may have tracked more."""
    await session.execute(
        update(TrackingJournal)
        .where(TrackingJournal.run_id == run_id)
        .values(due_at=later(session, 0))
        .execution_options(synchronize_session=False)
    )


async def free_journals(session: AsyncSession) -> None:
    """Whoever held them is gone: all that is to be copied is due."""
    waiting = update(TrackingJournal).where(TrackingJournal.due_at.is_not(None))
    await session.execute(waiting.values(due_at=later(session, 0)).execution_options(synchronize_session=False))


def _ran() -> ColumnElement[bool]:
    return or_(Run.state == State.RUNNING, Run.state.in_(FINAL))


def _incomplete(journal: TrackingJournal) -> str:
    """The sentence of what is not in MLflow; empty when all is."""
    parts = []
    if journal.refused:
        parts.append(f"{journal.refused} entries were refused, the first: {journal.first_refusal}")
    if journal.position and not journal.ended:
        parts.append("the job was killed before it wrote its last line, so that its last entries may be missing")
    if journal.missing:
        names = ", ".join(name.partition("/")[2] for name in journal.missing[:3])
        parts.append(f"{len(journal.missing)} files were gone: {names}")
    return "; ".join(parts)
