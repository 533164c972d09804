"""Runs made anew from the run that a schedule repeats, as the owner of a connection; many at once."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import bindparam, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.rows import AuditEntry
from gateway.connections.rows import Connection
from gateway.db.lease import later
from gateway.runs.rows import Event, Run
from gateway.runs.states import LIVE, State
from gateway.schedules.case import Planned
from gateway.schedules.standing import Facts, Repeated, Scheduled
from gateway.settings import Settings
from gateway.users.caller import Caller

_RUNS = Run.__table__
_COPIED = (
    "project_id",
    "experiment_repository_id",
    "code_repository_id",
    "branch",
    "data_repository_id",
    "data_branch",
    "data_commit",
    "mlproject_path",
    "entry_point",
    "parameters",
    "backend_config",
    "worst_core_hours",
    "worst_gpu_hours",
)
"""What a run has from the one that it repeats: the database copies it."""
_OWN = (
    "id",
    "created_at",
    "name",
    "origin",
    "created_by",
    "run_as",
    "requested_commit",
    "connection_id",
    "site_id",
    "compute_budget_account",
    "lineage_id",
    "state",
    "due_at",
)
_INSERT = insert(Run).from_select(
    [*_COPIED, *_OWN],
    select(*(_RUNS.c[name] for name in _COPIED), *(bindparam(name, type_=_RUNS.c[name].type) for name in _OWN)).where(
        _RUNS.c.id == bindparam("source", type_=_RUNS.c.id.type)
    ),
)


@dataclass(frozen=True, slots=True)
class Made:
    """A firing with the columns of its run."""

    schedule: Scheduled
    firing: Planned
    run: dict[str, Any]
    caller: Caller | None = None
    """Who fired it by hand."""


def columns(
    schedule: Scheduled, facts: Facts, firing: Planned, zone: tzinfo, *, created_by: uuid.UUID
) -> dict[str, Any]:
    """Of a new run: the manifest's commit, or with `follow_branch` the branch, which the engine resolves."""
    run, run_id = facts.run, firing.run_id or uuid.uuid4()
    return {
        "source": run.id,
        "id": run_id,
        "created_at": clock.now(),
        "name": f"{schedule.name} {firing.nominal_at.astimezone(zone):%Y-%m-%d %H:%M}",
        "origin": "submitted",
        "created_by": created_by,
        "run_as": schedule.run_as,
        "requested_commit": None if schedule.follow_branch else pinned(run),
        "connection_id": schedule.connection_id,
        "site_id": facts.site_id,
        "compute_budget_account": schedule.compute_budget_account,
        "lineage_id": run_id,
        "state": State.CREATED,
    }


def pinned(run: Run | Repeated) -> str | None:
    """The commit that a repetition runs; None while the run has none."""
    return run.commit or run.requested_commit


async def store(session: AsyncSession, made: Sequence[Made]) -> None:
    """Insert runs, due at once, with their first event and the audit; their firings name them."""
    if not made:
        return
    due_at, now = await session.scalar(select(later(session, 0))), clock.now()
    await (await session.connection()).execute(_INSERT, [{**one.run, "due_at": due_at} for one in made])
    for one in made:
        one.firing.run_id = one.run["id"]
    await insert_all(session, Event, [_event(one, now) for one in made])
    await insert_all(session, AuditEntry, [_audit(one, now) for one in made])


async def insert_all(session: AsyncSession, table: Any, rows: list[dict[str, Any]]) -> None:
    """Plain rows in one statement: an object for each would take most of the time."""
    if rows:
        await (await session.connection()).execute(table.__table__.insert(), rows)


def _event(one: Made, now: datetime) -> dict[str, Any]:
    """As `gateway.runs.moves.record` writes it."""
    nominal = one.firing.nominal_at.isoformat()
    return {
        "run_id": one.run["id"],
        "time": now,
        "kind": "state",
        "from_state": None,
        "to_state": State.CREATED,
        "text": f"Made by the schedule {one.schedule.name}.",
        "evidence": {"scheduleId": str(one.schedule.id), "nominal": nominal, "kind": one.firing.kind},
        "actor_id": one.caller.user_id if one.caller else None,
        "token_id": one.caller.token_id if one.caller else None,
        "on_behalf_of": one.run["run_as"],
    }


def _audit(one: Made, now: datetime) -> dict[str, Any]:
    """As `gateway.audit.service.record` writes it."""
    known = {"project": one.schedule.project_id, "schedule": one.schedule.id, "firing": one.firing.id}
    return {
        "time": now,
        "actor_id": one.caller.user_id if one.caller else None,
        "token_id": one.caller.token_id if one.caller else None,
        "action": "run.submit",
        "object_type": "run",
        "object_id": str(one.run["id"]),
        "request_id": one.caller.request_id if one.caller else "",
        "details": {name: str(value) for name, value in known.items()},
    }


class Room:
    """How many more runs users and projects may have live; counted once, and down with each that is made."""

    def __init__(self, settings: Settings, users: dict[uuid.UUID, int], projects: dict[uuid.UUID, int]) -> None:
        self._users, self._projects = users, projects
        self._most = settings.max_live_runs_per_user, settings.max_live_runs_per_project

    def is_there(self, user: uuid.UUID, project: uuid.UUID) -> bool:
        return self._users.get(user, 0) < self._most[0] and self._projects.get(project, 0) < self._most[1]

    def take(self, user: uuid.UUID, project: uuid.UUID) -> None:
        self._users[user] = self._users.get(user, 0) + 1
        self._projects[project] = self._projects.get(project, 0) + 1


async def room(session: AsyncSession, settings: Settings, users: set[uuid.UUID], projects: set[uuid.UUID]) -> Room:
    """By the same counts as when a run is submitted."""
    live = Run.state.in_(LIVE), Run.origin == "submitted"
    mine = or_(Run.created_by.in_(users), Run.project_id.in_(projects))
    found = await session.execute(
        select(Run.created_by, Run.project_id, func.count()).where(*live, mine).group_by(Run.created_by, Run.project_id)
    )
    by_user: dict[uuid.UUID, int] = {}
    by_project: dict[uuid.UUID, int] = {}
    for user, project, count in found:
        by_user[user] = by_user.get(user, 0) + count
        by_project[project] = by_project.get(project, 0) + count
    return Room(settings, by_user, by_project)


def is_free(connection: Connection | None, owner_id: uuid.UUID) -> bool:
    """Whether a connection is the user's own, not dropped, and for a site."""
    return (
        connection is not None
        and connection.owner_id == owner_id
        and connection.retired_at is None
        and connection.site_id is not None
    )
