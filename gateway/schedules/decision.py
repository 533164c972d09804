"""What a schedule that is due does: decided from rows that were read before, without a look at anything else."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from gateway.runs.states import State
from gateway.schedules.case import Case, Decision, Open, Planned, paused
from gateway.schedules.standing import Problem, Scheduled, login_problem, standing_problem
from gateway.schedules.timing import TICK
from gateway.schedules.words import CRON, FiringState, Misfire, Overlap, Reason, ScheduleState

RETRY = timedelta(seconds=15)
"""Between two looks at a firing that waits."""
MOST_COUNTED = 1000


def decide(case: Case, known: Collection[datetime] = ()) -> Decision:
    """One step; a schedule with more than one is due again at once. `known` are nominal times that have a firing."""
    schedule = case.schedule
    made = Decision(schedule)
    _count_ends(made, case.open)
    waiting = next((o.firing for o in case.open if o.waits), None)
    failures = made.values.get("failures", schedule.failures)
    if schedule.max_failures and failures >= schedule.max_failures:
        text = f"{failures} runs in a row failed. See them: mantik schedules history, mantik runs describe."
        return _pause(made, Problem(Reason.TOO_MANY_FAILURES, text), waiting, case.now)
    if waiting is None:
        nominal = schedule.next_at
        if nominal is None or nominal > case.now:
            return _nothing_due(made, case, nominal)
        if nominal in known:
            return _go_on(made, case, nominal)
        if _is_missed(schedule, nominal, case):
            return _misfire(made, case, nominal)
        waiting = _new(case, nominal)
    return _try(made, case, waiting)


def _count_ends(made: Decision, firings: Iterable[Open]) -> None:
    """FAILED adds to the failures in a row, FINISHED ends the row, CANCELLED does neither."""
    failures = made.schedule.failures
    for one in sorted(firings, key=lambda o: o.firing.nominal_at):
        if one.waits or one.live:
            continue
        made.closed.append(one.firing.id)
        if one.run_state == State.FAILED:
            failures += 1
        elif one.run_state == State.FINISHED:
            failures = 0
    if failures != made.schedule.failures:
        made.values["failures"] = failures


def _nothing_due(made: Decision, case: Case, nominal: datetime | None) -> Decision:
    ends_at = case.schedule.ends_at
    if nominal is not None:
        made.values["due_at"] = nominal
    elif ends_at is None:
        made.values |= _ended(Reason.NO_MORE)
    elif ends_at < case.now:
        made.values |= _ended(Reason.END_DATE)
    else:
        made.values["due_at"] = ends_at + TICK
    return made


def _ended(reason: Reason) -> dict[str, Any]:
    return {"state": ScheduleState.ENDED, "reason": reason, "message": None, "next_at": None, "due_at": None}


def _is_missed(schedule: Scheduled, nominal: datetime, case: Case) -> bool:
    if case.now - nominal <= case.grace:
        return False
    allowed = schedule.late_from, schedule.late_until
    return allowed[0] is None or allowed[1] is None or not allowed[0] <= nominal <= allowed[1]


def _misfire(made: Decision, case: Case, nominal: datetime) -> Decision:
    """Times past their grace time: which of them are still run, and one line for the others."""
    timing = case.timing
    horizon = case.now - case.grace
    kept = list(islice(timing.newest_first(horizon, nominal), _most_kept(case, horizon)))
    until = min(kept) if kept else horizon
    skipped = list(islice(timing.newest_first(until, nominal), MOST_COUNTED + 1))
    if skipped:
        made.firing = _new(case, nominal)
        _close(made.firing, FiringState.SKIPPED, Problem(Reason.MISSED, _missed_text(case, nominal, skipped)))
    next_at = until if kept else timing.following(horizon - TICK)
    made.values |= {"late_from": min(kept, default=None), "late_until": max(kept, default=None)}
    made.values |= {"next_at": next_at, "due_at": next_at or case.now}
    return made


def _most_kept(case: Case, horizon: datetime) -> int:
    policy = case.schedule.misfire
    if policy == Misfire.RUN_ALL:
        return case.schedule.misfire_most
    newer = case.timing.following(horizon - TICK)
    covered = newer is not None and newer <= case.now
    return 1 if policy == Misfire.RUN_ONCE and not covered else 0


def _missed_text(case: Case, nominal: datetime, skipped: Sequence[datetime]) -> str:
    late = f"more than {case.schedule.grace_seconds} s late"
    if len(skipped) == 1:
        return f"This time came {late}."
    count = f"More than {MOST_COUNTED}" if len(skipped) > MOST_COUNTED else str(len(skipped))
    last = max(skipped).astimezone(case.timing.zone)
    first = nominal.astimezone(case.timing.zone)
    return f"{count} times came {late}: from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}."


def _try(made: Decision, case: Case, firing: Planned) -> Decision:
    """Make its run, or say why not; only reasons that pass by themselves let it wait."""
    made.firing = firing
    refused = _refused(case)
    problem = standing_problem(case.schedule, case.facts, case.settings)
    if problem is None and case.refusal is not None and not case.refusal.passes:
        problem = refused
    if problem is not None:
        return _pause(made, problem, firing, case.now, FiringState.REFUSED)
    problem = login_problem(case.facts, case.now) or _no_room(case) or refused
    if problem is not None:
        if case.now <= _deadline(case, firing):
            return _wait(made, case, firing, problem)
        _close(firing, FiringState.SKIPPED, problem)
        return _go_on(made, case, firing.nominal_at)
    live = [o.firing.run_id for o in case.open if o.live and o.firing.run_id is not None]
    if live and case.schedule.overlap != Overlap.ALLOW:
        return _overlap(made, case, firing, live)
    firing.state, firing.reason, firing.text, firing.open = FiringState.FIRED, None, "", True
    firing.created_at = case.now
    made.fires = True
    return _go_on(made, case, firing.nominal_at)


def _overlap(made: Decision, case: Case, firing: Planned, live: list[uuid.UUID]) -> Decision:
    problem = Problem(Reason.OVERLAP, f"The run {live[0]} of this schedule was live.")
    if case.schedule.overlap == Overlap.SKIP:
        _close(firing, FiringState.SKIPPED, problem)
        return _go_on(made, case, firing.nominal_at)
    if case.schedule.overlap == Overlap.CANCEL_RUNNING:
        made.cancelled = live
    return _wait(made, case, firing, problem)


def _no_room(case: Case) -> Problem | None:
    if case.has_room:
        return None
    text = f"{case.facts.owner_name} or the project has as many live runs as the gateway allows."
    return Problem(Reason.TOO_MANY_RUNS, text)


def _refused(case: Case) -> Problem | None:
    if case.refusal is None:
        return None
    return Problem(Reason.BUDGET_GUARD, f"The budget guard of the project refuses the run: {case.refusal.text}.")


def _deadline(case: Case, firing: Planned) -> datetime:
    """A time that was run late on purpose counts its grace time from when it began to wait."""
    late = case.schedule.late_until is not None and firing.nominal_at <= case.schedule.late_until
    return (firing.created_at if late else firing.nominal_at) + case.grace


def _wait(made: Decision, case: Case, firing: Planned, problem: Problem) -> Decision:
    firing.state, firing.reason, firing.text, firing.open = FiringState.WAITING, problem.reason, problem.text, True
    _go_on(made, case, firing.nominal_at)
    made.values["due_at"] = case.now + RETRY
    return made


def _go_on(made: Decision, case: Case, nominal: datetime) -> Decision:
    """Past a nominal time that has its firing."""
    next_at = case.schedule.next_at
    if next_at is not None and next_at <= nominal:
        next_at = case.timing.following(nominal)
    made.values |= {"next_at": next_at, "due_at": next_at or case.now}
    return made


def _pause(
    made: Decision, problem: Problem, firing: Planned | None, now: datetime, state: FiringState = FiringState.SKIPPED
) -> Decision:
    made.values |= paused(problem)
    made.firing = firing
    if firing is not None:
        _close(firing, state, problem)
        firing.created_at = now
    return made


def _new(case: Case, nominal: datetime) -> Planned:
    return Planned(
        id=uuid.uuid4(),
        created_at=case.now,
        schedule_id=case.schedule.id,
        kind=CRON,
        nominal_at=nominal,
        state=FiringState.WAITING,
        reason=None,
        text="",
        run_id=None,
        made_by=None,
        open=True,
        is_new=True,
    )


def _close(firing: Planned, state: FiringState, problem: Problem) -> None:
    firing.state, firing.reason, firing.text, firing.open = state, problem.reason, problem.text, False
