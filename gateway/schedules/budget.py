"""The budget guard of a project and the firings of its schedules."""

import uuid

from gateway.budgets import happenings
from gateway.budgets.guard import Guard, Verdict
from gateway.budgets.ledger import Ledger
from gateway.schedules.case import Decision
from gateway.schedules.standing import Facts
from gateway.schedules.words import Reason
from gateway.subscriptions.telling import one_line


def refusal(ledger: Ledger | None, facts: Facts) -> Verdict | None:
    """Why the guard refuses a repetition."""
    return ledger.judge(facts.worst) if ledger is not None and ledger.guard is Guard.REFUSE else None


def counted(decision: Decision, ledger: Ledger, facts: Facts, refused: Verdict | None) -> None:
    """Count the run that is made, and say what subscribers are told of it, or of its refusal."""
    schedule, firing = decision.schedule, decision.firing
    what = f"A run of schedule {one_line(schedule.name)}"
    if refused is not None and firing is not None and firing.reason == Reason.BUDGET_GUARD:
        ids = {"schedule_id": schedule.id}
        decision.told.append(happenings.refused(ledger, refused, what, schedule.run_as, **ids))
    if not decision.fires or firing is None:
        return
    verdict = ledger.judge(facts.worst)
    ledger.take(facts.worst)
    firing.run_id = firing.run_id or uuid.uuid4()
    decision.told += happenings.levels(ledger, schedule.run_as, firing.run_id)
    if verdict is not None:
        decision.warning = verdict.warning
        decision.told.append(happenings.warned(ledger, verdict, what, schedule.run_as, firing.run_id))
