"""Schedules that lost what they rest on: paused now and then, so that nobody learns of it only at the next firing."""

from sqlalchemy import or_, update

from gateway.connections.rows import Connection
from gateway.db.session import Database
from gateway.projects.rows import Member
from gateway.runs.rows import Run
from gateway.schedules.case import Decision, paused
from gateway.schedules.rounds import apply
from gateway.schedules.rows import Firing, Schedule
from gateway.schedules.standing import RunAs, facts_of, standing_problem, with_facts
from gateway.schedules.words import FiringState, Reason, ScheduleState
from gateway.settings import Settings

AT_ONCE = 500


async def sweep(db: Database, settings: Settings) -> int:
    """Pause those whose run was deleted, connection dropped, or owner disabled or taken out; how many. Repeatable."""
    gone = or_(
        Run.deleted_at.is_not(None),
        Run.delete_requested_at.is_not(None),
        Connection.retired_at.is_not(None),
        RunAs.disabled_at.is_not(None),
        Member.role.is_(None),
    )
    statement = with_facts().where(Schedule.state == ScheduleState.ACTIVE, gone).limit(AT_ONCE)
    async with db.transaction() as session:
        rows = await session.execute(statement.with_for_update(of=Schedule, skip_locked=True))
        decisions = []
        for schedule, facts in map(facts_of, rows):
            problem = standing_problem(schedule, facts, settings)
            if problem is not None:
                decisions.append((Decision(schedule, values=paused(problem)), facts))
        await apply(session, decisions)
        ids = [decision.schedule.id for decision, _ in decisions]
        waits = Firing.schedule_id.in_(ids), Firing.open, Firing.state == FiringState.WAITING
        text = "The schedule was paused."
        values = {"state": FiringState.SKIPPED, "reason": Reason.PAUSED, "text": text, "open": False}
        await session.execute(
            update(Firing).where(*waits).values(**values).execution_options(synchronize_session=False)
        )
    return len(decisions)
