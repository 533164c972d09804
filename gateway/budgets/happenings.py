"""What subscribers are told of a budget guard."""

import uuid

from gateway import clock
from gateway.budgets.guard import Verdict, shown
from gateway.budgets.ledger import Ledger
from gateway.subscriptions.telling import Happening, one_line
from gateway.subscriptions.words import EventName

REFUSED, WARNED, REACHED = "REFUSED", "WARNED", "MONTH_{level}"
"""Reasons in a message."""


def refused(
    ledger: Ledger, verdict: Verdict, what: str, owner_id: uuid.UUID, *, schedule_id: uuid.UUID | None = None
) -> Happening:
    """Once a day for each person, schedule and cap, however often it is tried. `what`: as `Run train`."""
    now = clock.now()
    key = f"budget:refused:{ledger.project_id}:{schedule_id or owner_id}:{verdict.cap}:{now:%Y-%m-%d}"
    text = f"{what} in project {one_line(ledger.project)} was refused by the budget guard: {verdict.text}."
    ids = {"project_id": ledger.project_id, "schedule_id": schedule_id}
    return Happening(EventName.BUDGET_GUARD, key, now, text, owner_id, **ids, reason=REFUSED)


def warned(ledger: Ledger, verdict: Verdict, what: str, owner_id: uuid.UUID, run_id: uuid.UUID) -> Happening:
    """Once for each run."""
    text = f"{what} in project {one_line(ledger.project)} was accepted, and the budget guard warns: {verdict.text}."
    ids = {"project_id": ledger.project_id, "run_id": run_id}
    key = f"budget:warned:{run_id}"
    return Happening(EventName.BUDGET_GUARD, key, clock.now(), text, owner_id, **ids, reason=WARNED)


def levels(ledger: Ledger, owner_id: uuid.UUID, run_id: uuid.UUID) -> list[Happening]:
    """80 % and 100 % of a month's cap, each once a month. `owner_id`: whose run it was."""
    project, month = one_line(ledger.project), ledger.month.name
    found = []
    for one, level in ledger.levels():
        key = f"budget:month:{ledger.project_id}:{month}:{one.unit}:{level}"
        text = (
            f"Project {project} has reached {level} % of its {one.unit} for {month}: {shown(one.spent)} are spent and "
            f"{shown(one.reserved)} reserved by live runs, of {shown(one.per_month or 0.0)}."
        )
        ids = {"project_id": ledger.project_id, "run_id": run_id}
        reason = REACHED.format(level=level)
        found.append(Happening(EventName.BUDGET_GUARD, key, clock.now(), text, owner_id, **ids, reason=reason))
    return found
