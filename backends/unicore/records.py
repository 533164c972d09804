"""The end of a job as UNICORE tells it, as a record of a scheduler."""

from dataclasses import replace

from backends.host.scheduler import Record
from backends.reasons import Reason
from backends.spec import Outcome, Phase, Result
from backends.unicore.jobs import FAILED, Look
from backends.unicore.reasons import cause_of

_BY_CODE = frozenset({Reason.EXIT_CODE, Reason.LOST})
"""What an exit code says by itself, or nothing says."""


def record_of_end(job: str, look: Look, details: Record | None) -> Record:
    """`look` is of a job that has ended. SUCCESSFUL without a code is what a server says that was killed meanwhile; so
    the code alone counts. `details` name the cause where UNICORE knows none."""
    if look.status != FAILED:
        return Record(job, Phase.ENDED, look.status, exit_code=look.exit_code)
    cause = cause_of(look.message, look.exit_code)
    reason = None if cause.reason in _BY_CODE else cause.reason
    told = details if details is not None and details.phase is Phase.ENDED else None
    return Record(
        job,
        Phase.ENDED,
        look.status,
        exit_code=cause.exit_code,
        signal=told.signal if told and reason is None else None,
        reason=reason or (told.reason if told else None),
        nodes=told.nodes if told else "",
        account=told.account if told else "",
    )


def explained(outcome: Outcome, look: Look | None) -> Outcome:
    """With the server's own words, and a plain sentence where they are known."""
    if look is None or not look.message:
        return outcome
    if outcome.result is Result.FINISHED:
        return replace(outcome, text=look.message)
    cause = cause_of(look.message, look.exit_code)
    sentence = cause.sentence if cause.reason is outcome.reason and cause.reason not in _BY_CODE else ""
    return replace(outcome, text=look.message, sentence=sentence)
