"""Schedules and firings as they are shown, in few queries however many there are."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.connections.rows import Connection
from gateway.errors import InvalidInput
from gateway.runs.rows import Run
from gateway.runs.views import user_names
from gateway.schedules.description import words
from gateway.schedules.rows import Firing, Schedule
from gateway.schedules.timing import zone
from gateway.schedules.words import ScheduleState
from gateway.schemas.schedules import Consent, FiringView, ScheduleView
from gateway.schemas.users import UserView
from gateway.sites.rows import Site

_SAME = (
    "project_id",
    "name",
    "state",
    "reason",
    "message",
    "run_id",
    "connection_id",
    "compute_budget_account",
    "starts_at",
    "ends_at",
    "misfire_most",
    "grace_seconds",
    "max_failures",
    "failures",
    "follow_branch",
    "next_at",
    "created_at",
    "changed_at",
)


@dataclass(frozen=True, slots=True)
class _Around:
    users: dict[uuid.UUID, str]
    runs: dict[uuid.UUID, str]
    sites: dict[uuid.UUID, str]

    def user(self, user_id: uuid.UUID) -> UserView:
        return UserView(user_id=user_id, name=self.users.get(user_id, ""))


async def views(session: AsyncSession, schedules: Sequence[Schedule]) -> list[ScheduleView]:
    """One view per schedule, in order."""
    people = {s.created_by for s in schedules} | {s.run_as for s in schedules}
    people |= {uuid.UUID(s.consent["by"]) for s in schedules if s.consent}
    runs = await session.execute(select(Run.id, Run.name).where(Run.id.in_({s.run_id for s in schedules})))
    sites = await session.execute(
        select(Connection.id, Site.name)
        .join(Site, Site.id == Connection.site_id)
        .where(Connection.id.in_({s.connection_id for s in schedules}))
    )
    around = _Around(
        await user_names(session, people),
        {row.id: row.name for row in runs},
        {row.id: row.name for row in sites},
    )
    return [_view(schedule, around) for schedule in schedules]


def _view(schedule: Schedule, around: _Around) -> ScheduleView:
    given = schedule.consent
    consent = None
    if given is not None:
        by = around.user(uuid.UUID(given["by"]))
        consent = Consent(text=given["text"], at=datetime.fromisoformat(given["at"]), by=by)
    return ScheduleView.model_validate(
        {name: getattr(schedule, name) for name in _SAME}
        | {
            "schedule_id": schedule.id,
            "run_name": around.runs.get(schedule.run_id, ""),
            "site_name": around.sites.get(schedule.connection_id),
            "cron_expression": schedule.expression,
            "in_words": _words(schedule.expression),
            "time_zone": schedule.zone,
            "start_date": schedule.start_given,
            "end_date": schedule.end_given,
            "overlap_policy": schedule.overlap,
            "misfire_policy": schedule.misfire,
            "enabled": schedule.state == ScheduleState.ACTIVE,
            "consent": consent,
            "next_local": in_zone(schedule.next_at, schedule.zone) if schedule.next_at is not None else None,
            "user": around.user(schedule.created_by),
            "run_as": around.user(schedule.run_as),
        }
    )


def _words(expression: str) -> str:
    try:
        return words(expression)
    except InvalidInput:
        return ""


def in_zone(instant: datetime, name: str) -> str:
    """With its offset; in UTC where this gateway does not know the zone."""
    try:
        here = zone(name)
    except InvalidInput:
        here = ZoneInfo("UTC")
    return instant.astimezone(here).isoformat(timespec="minutes" if not instant.second else "seconds")


async def firing_views(session: AsyncSession, schedule: Schedule, firings: Sequence[Firing]) -> list[FiringView]:
    """One view per firing, in order."""
    names = await user_names(session, {f.made_by for f in firings if f.made_by is not None})
    ids = {f.run_id for f in firings if f.run_id is not None}
    states = {r.id: r.state for r in await session.execute(select(Run.id, Run.state).where(Run.id.in_(ids)))}
    return [
        FiringView.model_validate(
            {
                "firing_id": f.id,
                "kind": f.kind,
                "nominal_at": f.nominal_at,
                "nominal_local": in_zone(f.nominal_at, schedule.zone),
                "actual_at": f.created_at,
                "state": f.state,
                "reason": f.reason,
                "text": f.text,
                "run_id": f.run_id,
                "run_state": states.get(f.run_id) if f.run_id is not None else None,
                "made_by": UserView(user_id=f.made_by, name=names.get(f.made_by, "")) if f.made_by else None,
            }
        )
        for f in firings
    ]
