"""Admitting one run: judged under the lock of the project's guard, in the transaction that stores the run."""

import uuid
from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.budgets import happenings
from gateway.budgets.cost import WorstCase
from gateway.budgets.guard import Guard, Verdict
from gateway.budgets.ledger import Ledger, ledgers
from gateway.db.session import Database
from gateway.runs.moves import record
from gateway.runs.rows import Run
from gateway.runs.states import State
from gateway.subscriptions.telling import Happening, one_line, tell

EVENT = "budget"
"""The kind of a run's event that holds a warning."""


class Refused(Exception):
    """The guard refuses the run; `told` is for the subscribers, once the refused transaction is rolled back."""

    def __init__(self, verdict: Verdict, told: Happening) -> None:
        super().__init__(verdict.text)
        self.verdict, self.told = verdict, told


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that is asked for."""

    id: uuid.UUID
    project_id: uuid.UUID
    name: str
    owner_id: uuid.UUID
    """Who runs it."""

    @classmethod
    def of(cls, run: Run) -> "Asked":
        return cls(run.id, run.project_id, run.name, run.run_as)

    @property
    def what(self) -> str:
        """As a sentence begins."""
        return f"Run {one_line(self.name)}"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A run that may be stored. The ledger counts it."""

    ledger: Ledger
    verdict: Verdict | None
    """What the guard warns of."""

    @property
    def warnings(self) -> list[str]:
        return [self.verdict.warning] if self.verdict is not None else []


async def admit(session: AsyncSession, run: Asked, worst: WorstCase) -> Admitted | None:
    """None where the guard is off. Raises Refused. From here to the end of the transaction nobody else admits a run of
    the project."""
    ledger = (await ledgers(session, [run.project_id], but=run.id)).get(run.project_id)
    if ledger is None:
        return None
    verdict = ledger.judge(worst)
    if verdict is not None and ledger.guard is Guard.REFUSE:
        raise Refused(verdict, happenings.refused(ledger, verdict, run.what, run.owner_id))
    ledger.take(worst)
    return Admitted(ledger, verdict)


async def note(session: AsyncSession, run: Asked, admitted: Admitted) -> None:
    """Write down what the guard warns of, and tell of it, once the run is stored."""
    told = happenings.levels(admitted.ledger, run.owner_id, run.id)
    if admitted.verdict is not None:
        record(session, run.id, EVENT, admitted.verdict.warning)
        told.append(happenings.warned(admitted.ledger, admitted.verdict, run.what, run.owner_id, run.id))
    await tell(session, told)


async def tell_refusal(db: Database, refused: Refused) -> None:
    """In a transaction of its own: that of the run is rolled back."""
    async with db.transaction() as session:
        await tell(session, [refused.told])


async def admit_stored(db: Database, run: Run, worst: WorstCase) -> None:
    """Store and judge the worst case of a run whose config was read only now, from the repository. Repeatable; it does
    nothing for a run that is not stored. Raises Refused, of which was told."""
    try:
        async with db.transaction() as session:
            # The guard is locked before the run, as by those who make runs.
            admitted = await admit(session, Asked.of(run), worst)
            mine = update(Run).where(Run.id == run.id, Run.state == State.CREATED).values(**worst.columns)
            kept = mine.returning(Run.id).execution_options(synchronize_session=False)
            if await session.scalar(kept) is not None and admitted is not None:
                await note(session, Asked.of(run), admitted)
    except Refused as refused:
        if await _is_stored(db, run.id):
            await tell_refusal(db, refused)
            raise


async def _is_stored(db: Database, run_id: uuid.UUID) -> bool:
    async with db.reading() as session:
        return await session.get(Run, run_id) is not None
