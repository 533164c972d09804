"""Passes over models whose place in MLflow's registry is due: claimed, and what came of them, in the database."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, not_, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.lease import later
from gateway.db.session import Database
from gateway.models.lineage import Origin, origins
from gateway.models.rows import TrainedModel
from gateway.models.words import Status

HELD_SECONDS = 60.0
"""How long one gateway has for a pass before another may begin one."""
LATE_SECONDS = 60.0
"""How long after a version was asked for it may still appear, when the answer was lost."""
LEAST_PAUSE, MOST_PAUSE = 2.0, 300.0


class Superseded(Exception):
    """Another pass or a new intent came between; that one goes on."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One try, ours until another one or a new intent begins: from then on it stores nothing."""

    model_id: uuid.UUID
    epoch: int
    tries: int = 1
    """Since the registry was in step, this one included. Stored before the try."""

    @property
    def guard(self) -> ColumnElement[bool]:
        return and_(TrainedModel.id == self.model_id, TrainedModel.epoch == self.epoch)


async def claim(db: Database, limit: int) -> Sequence[Pass]:
    """Models that are due for longest."""
    async with db.reading() as session:  # costs no writer's lock while there is nothing to do
        if await session.scalar(select(TrainedModel.id).where(_is_due(session)).limit(1)) is None:
            return []
    async with db.transaction() as session:
        query = select(TrainedModel.id, TrainedModel.epoch, TrainedModel.failures).where(_is_due(session))
        query = query.order_by(TrainedModel.due_at).limit(limit).with_for_update(skip_locked=True)
        found = [Pass(row.id, row.epoch + 1, row.failures + 1) for row in await session.execute(query)]
        held = later(session, HELD_SECONDS)
        for one in found:
            await _change(session, TrainedModel.id == one.model_id, due_at=held, epoch=one.epoch, failures=one.tries)
    return found


async def begin(session: AsyncSession, model_id: uuid.UUID) -> Pass:
    """A pass for a new intent, in its transaction; what earlier passes find out is not stored any more."""
    await _change(
        session,
        TrainedModel.id == model_id,
        due_at=later(session, HELD_SECONDS),
        epoch=TrainedModel.epoch + 1,
        failures=1,
        message=None,
    )
    epoch = await session.scalar(select(TrainedModel.epoch).where(TrainedModel.id == model_id))
    return Pass(model_id, int(epoch or 0))


async def load(db: Database, one: Pass) -> tuple[TrainedModel, Origin | None]:
    """The model as the pass is to bring it about. Raises Superseded."""
    async with db.reading() as session:
        model: TrainedModel | None = await session.scalar(select(TrainedModel).where(one.guard))
        if model is None:
            raise Superseded
        origin = (await origins(session, [model.run_id])).get(model.run_id) if model.run_id else None
    return model, origin


async def about_to_create(db: Database, one: Pass) -> None:
    """Before a version is asked for: until some time later another one may appear. Raises Superseded."""
    async with db.transaction() as session:
        if not await _change(session, one.guard, uncertain_until=later(session, LATE_SECONDS)):
            raise Superseded


async def registered(db: Database, one: Pass, name: str, number: str, *, sure: bool, again: float | None) -> None:
    """In step. Looked at again when a lost answer may still come (not `sure`), or the cost (`again`, in seconds)."""
    async with db.transaction() as session:
        uncertain = case((_uncertain(session), TrainedModel.uncertain_until), else_=null())
        still = null() if sure else uncertain
        kept = await _change(
            session,
            one.guard,
            status=Status.REGISTERED,
            message=None,
            failures=0,
            mlflow_name=name,
            mlflow_version=number,
            uncertain_until=still,
            due_at=later(session, again) if again is not None else still,
        )
    if not kept:
        raise Superseded


async def unregistered(db: Database, one: Pass) -> None:
    """The row goes, and its name is free; later, when a version that was asked for may still appear."""
    async with db.transaction() as session:
        gone = delete(TrainedModel).where(one.guard, not_(_uncertain(session)))
        done = await session.execute(gone.returning(TrainedModel.id).execution_options(synchronize_session=False))
        if done.first() is None:
            await _change(session, one.guard, due_at=TrainedModel.uncertain_until)


async def put_off(db: Database, one: Pass, text: str) -> None:
    async with db.transaction() as session:
        pause = min(MOST_PAUSE, LEAST_PAUSE * 2 ** min(one.tries, 16))
        await _change(session, one.guard, message=text, due_at=later(session, pause))


async def failed(db: Database, one: Pass, text: str) -> None:
    """Not tried again before there is another intent."""
    async with db.transaction() as session:
        await _change(session, one.guard, status=Status.FAILED, message=text, due_at=None)


def _is_due(session: AsyncSession) -> ColumnElement[bool]:
    return TrainedModel.due_at <= later(session, 0)


def _uncertain(session: AsyncSession) -> ColumnElement[bool]:
    return and_(TrainedModel.uncertain_until.is_not(None), TrainedModel.uncertain_until > later(session, 0))


async def _change(session: AsyncSession, where: ColumnElement[bool], **values: Any) -> bool:
    changed = update(TrainedModel).where(where).values(**values).returning(TrainedModel.id)
    return (await session.execute(changed.execution_options(synchronize_session=False))).first() is not None
