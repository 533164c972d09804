"""Retention: how long a project keeps logs, directories on the site and runs, and what would go."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from gateway.schemas.users import UserView
from gateway.schemas.wire import Body, Page, Wire

MOST_DAYS = 36_500


def _checked(value: object) -> object:
    if value is None or (type(value) is int and 1 <= value <= MOST_DAYS):
        return value
    raise ValueError(f"must be a whole number of days from 1 to {MOST_DAYS}; null, or left out, keeps it for ever.")


Days = Annotated[Annotated[int, Field(ge=1, le=MOST_DAYS)] | None, BeforeValidator(_checked)]


class SetRetention(Body):
    """Days after the end of a run. PUT replaces all three; null, or left out, keeps it for ever."""

    log_days: Days = None
    site_directory_days: Days = None
    run_days: Days = None
    """The run itself, with its log, with its run in MLflow, and with its directory if directories have a rule."""


class RetentionDays(Wire):
    """Days after the end of a run; null keeps it for ever."""

    log_days: int | None
    site_directory_days: int | None
    run_days: int | None


class RetentionView(RetentionDays):
    changed_at: datetime | None
    changed_by: UserView | None
    """Both null as long as nobody set a rule."""


class RetentionItem(Wire):
    """A run whose time has come: what of it goes, or why it stays."""

    run_id: UUID
    name: str
    state: str
    ended_at: datetime
    run: bool
    log: bool
    site_directory: bool
    log_bytes: int | None
    """Of a log that goes; null for none. How large a directory is, only its site knows."""
    stays: str | None
    """Why nothing of it goes, as one sentence."""
    problem: str | None
    """Why the last try did not remove the directory."""


class RetentionTotals(Wire):
    """Over all pages."""

    runs: int
    logs: int
    site_directories: int
    log_bytes: int
    stay: int
    """Runs of which nothing goes though their time has come."""


class RetentionPreview(Page[RetentionItem]):
    """What would go now. Nothing is removed by looking."""

    rules: RetentionDays
    totals: RetentionTotals
