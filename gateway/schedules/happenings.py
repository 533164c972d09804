"""What subscribers are told of a schedule."""

import uuid

from gateway import clock
from gateway.schedules.case import Decision
from gateway.schedules.standing import Facts
from gateway.schedules.words import FiringState, Reason, ScheduleState
from gateway.subscriptions.telling import Happening, login_key, one_line
from gateway.subscriptions.words import EventName

MOST_LETTERS = 400


def happening(decision: Decision, facts: Facts) -> Happening | None:
    """It pauses itself, or a firing of it waits for a login; None for all else."""
    schedule, values, firing = decision.schedule, decision.values, decision.firing
    now, name = clock.now(), one_line(schedule.name)
    owner, ids = schedule.run_as, (schedule.project_id, None, schedule.id, schedule.connection_id)
    if values.get("state") == ScheduleState.PAUSED:
        text = f"Schedule {name} paused itself: {one_line(values['message'], MOST_LETTERS)}"
        key, reason = f"pause:{uuid.uuid4()}", str(values["reason"])
        return Happening(EventName.SCHEDULE_PAUSED, key, now, text, owner, *ids, reason)
    if firing is not None and (firing.state, firing.reason) == (FiringState.WAITING, Reason.NEEDS_LOGIN):
        text = f"Schedule {name} waits for a login with connection {one_line(facts.connection_name)}."
        key = login_key(schedule.connection_id, facts.connection_version, now)
        return Happening(EventName.NEEDS_LOGIN, key, now, text, owner, *ids)
    return None
