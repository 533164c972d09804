"""What of which run has come to its end by the rules, in the words of the database."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, false, or_

from gateway.logs.rows import LogChunk
from gateway.retention.rows import Removal
from gateway.retention.rules import Rules
from gateway.runs.rows import Attempt, Run
from gateway.runs.states import FINAL

LOG = "log"
DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Due:
    """Conditions over `runs`, to be used beside `ended`. A run that goes takes its log with it, and its directory if
    directories have a rule at all: nothing would remove that later."""

    run: ColumnElement[bool]
    log: ColumnElement[bool]
    directory: ColumnElement[bool]
    old: ColumnElement[bool]
    """Whether the age of the run alone may make anything of it go."""

    @property
    def anything(self) -> ColumnElement[bool]:
        return and_(self.old, or_(self.run, self.log, self.directory))


def due(rules: Rules, now: datetime) -> Due:
    """By the age of runs since their end."""
    run = _older(rules.run_days, now)
    log, directory = _older(rules.log_days, now), _older(rules.site_directory_days, now)
    oldest = [days for days in rules.columns.values() if days is not None]
    may_go = rules.site_directory_days is not None
    return Due(
        run=run,
        log=and_(or_(run, log), exists().where(LogChunk.run_id == Run.id), not_removed(LOG)),
        directory=and_(or_(run, directory), *_on_site()) if may_go else false(),
        old=_older(min(oldest, default=None), now),
    )


def ended(project_id: uuid.UUID) -> ColumnElement[bool]:
    """Runs of the project that have ended, and that nobody deletes already."""
    return and_(
        Run.project_id == project_id,
        Run.state.in_(FINAL),
        Run.deleted_at.is_(None),
        Run.delete_requested_at.is_(None),
    )


def not_removed(what: str) -> ColumnElement[bool]:
    """A directory whose removal only began is still there; of a log that began nothing can be read."""
    gone = [Removal.run_id == Run.id, Removal.what == what]
    return ~exists().where(*gone, *([Removal.done_at.is_not(None)] if what == DIRECTORY else []))


def _on_site() -> list[ColumnElement[bool]]:
    tried = exists().where(Attempt.run_id == Run.id)
    return [Run.origin == "submitted", Run.connection_id.is_not(None), tried, not_removed(DIRECTORY)]


def _older(days: int | None, now: datetime) -> ColumnElement[bool]:
    return false() if days is None else Run.ended_at <= now - timedelta(days=days)
