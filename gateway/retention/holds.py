"""Why a run stays though its time has come: something still needs it. Its log and its directory stay with it."""

from typing import Any

from sqlalchemy import ColumnElement, Row, ScalarSelect, and_, exists, or_, select
from sqlalchemy.orm import aliased

from backends.reasons import Reason
from gateway.models.rows import TrainedModel
from gateway.runs.rows import Condition, Run
from gateway.runs.states import LIVE, ConditionName
from gateway.schedules.rows import Schedule
from gateway.tracking.rows import TrackingJournal

_OTHER = aliased(Run)
_BEHIND = (ConditionName.TRACKING_BEHIND, ConditionName.TRACKING_NOT_COPIED)


def _shows(*names: ConditionName) -> ColumnElement[bool]:
    return exists().where(Condition.run_id == Run.id, Condition.name.in_(names))


def _behind() -> ColumnElement[bool]:
    return or_(_shows(*_BEHIND), _waits())


def _waits() -> ColumnElement[bool]:
    """What the job tracked beside itself is still to be copied from its directory."""
    return exists().where(TrackingJournal.run_id == Run.id, TrackingJournal.due_at.is_not(None))


def _model() -> ScalarSelect[str]:
    return select(TrainedModel.name).where(TrainedModel.run_id == Run.id).limit(1).scalar_subquery()


def _schedule() -> ScalarSelect[str]:
    query = select(Schedule.name).where(Schedule.run_id == Run.id, Schedule.deleted_at.is_(None))
    return query.limit(1).scalar_subquery()


def _goes_on() -> ColumnElement[bool]:
    """A live run of the same chain reads what this one left."""
    same = (_OTHER.lineage_id == Run.lineage_id, _OTHER.id != Run.id)
    return exists().where(*same, _OTHER.state.in_(LIVE), _OTHER.deleted_at.is_(None))


def held() -> ColumnElement[bool]:
    """Whether something needs the run."""
    return or_(
        _shows(ConditionName.COLLECTING, *_BEHIND),
        _waits(),
        _still_looked_for(),
        _goes_on(),
        exists().where(TrainedModel.run_id == Run.id),
        exists().where(Schedule.run_id == Run.id, Schedule.deleted_at.is_(None)),
    )


def _still_looked_for() -> ColumnElement[bool]:
    return and_(Run.reason == Reason.LOST, Run.due_at.is_not(None))


def columns() -> list[ColumnElement[Any]]:
    """For a statement over `runs` whose rows `reason` explains."""
    return [
        _shows(ConditionName.COLLECTING).label("collecting"),
        _behind().label("behind"),
        _still_looked_for().label("looked_for"),
        _goes_on().label("goes_on"),
        _model().label("model"),
        _schedule().label("schedule"),
    ]


def reason(row: Row[Any]) -> str | None:
    """Why the run stays, as one sentence; None when it does not."""
    if row.collecting:
        return "Its log and files are still being collected."
    if row.behind:
        return "MLflow was not told all of it yet."
    if row.looked_for:
        return "It is LOST, and still looked for on its site."
    if row.goes_on:
        return "A live run goes on from its checkpoint."
    if row.model is not None:
        return f"The model {row.model} comes from it."
    return f"The schedule {row.schedule} repeats it." if row.schedule is not None else None
