"""How a job ended, by the design's order of evidence. Pure: the same evidence gives the same outcome."""

from backends.backend import DUPLICATE_EXIT_CODE, NO_FENCE_EXIT_CODE, REVOKED_EXIT_CODE
from backends.host.evidence import Files
from backends.host.scheduler import Record
from backends.reasons import Reason
from backends.spec import EvidenceSource, Outcome, Phase, Result

COPY_CODES = frozenset({REVOKED_EXIT_CODE, DUPLICATE_EXIT_CODE, NO_FENCE_EXIT_CODE})
"""How a copy ends that did not pass the fence; such an end says nothing of the run."""
SIGNAL_BASE = 128


def decide(job_id: str, record: Record | None, files: Files) -> Outcome | None:
    """The outcome, or None while there is no evidence of an end. The scheduler must have let go of the job:
    an `exit` file counts only then, and only when it is of this job and of its last start."""
    if record is not None and record.phase is not Phase.ENDED:
        return None
    written = files.exit
    if written is not None and written.job_id == job_id and (record is None or written.restarts >= record.restarts):
        reason = written.reason or Reason.EXIT_CODE
        return _by_code(EvidenceSource.EXIT_FILE, written.code, written.signal, reason, record, files)
    code = files.site_exit
    if code is None and record is not None:
        code = record.exit_code
        if code == 0 and record.signal is not None:
            code = None  # a signal ended it: that zero is no code
    if code is not None:
        reason = _of_code(code, files, job_id)
        return _by_code(EvidenceSource.SITE_EXIT_CODE, code, None, reason, record, files)
    return None if record is None else _by_record(record)


def _of_code(code: int, files: Files, job_id: str) -> Reason:
    """A program may end with a copy's code, too; but then its job is the one that passed the fence."""
    if code in COPY_CODES and files.fence != job_id:
        return Reason.LOST
    return Reason.DISK_FULL if files.disk_full else Reason.EXIT_CODE


def _by_code(
    source: EvidenceSource, code: int, signal: int | None, reason: Reason, record: Record | None, files: Files
) -> Outcome:
    text = _text(record)
    if code == 0 and signal is None:
        return Outcome(Result.FINISHED, source, None, 0, None, text)
    if signal is None and SIGNAL_BASE < code <= SIGNAL_BASE + 64:
        signal = code - SIGNAL_BASE
    named = record.reason if record is not None else None
    if named is not None and (signal is not None or source is not EvidenceSource.EXIT_FILE):
        reason = named
    elif signal is not None and files.time_limit:
        reason = Reason.TIME_LIMIT
    return Outcome(_result(reason), source, reason, code, signal, text)


def _by_record(record: Record) -> Outcome:
    """Neither of the two exit codes is there: what the scheduler says besides."""
    detailed = record.signal is not None
    source = EvidenceSource.SCHEDULER_DETAILS if detailed else EvidenceSource.FINAL_STATE
    # A state without a code and a cause, be it the best: nobody knows that the code ran to its end.
    reason = record.reason or (Reason.EXIT_CODE if detailed else Reason.LOST)
    return Outcome(_result(reason), source, reason, None, record.signal, _text(record))


def _result(reason: Reason) -> Result:
    return Result.CANCELLED if reason is Reason.CANCELLED_ON_SITE else Result.FAILED


def _text(record: Record | None) -> str:
    if record is None:
        return ""
    if record.exit_code is None and record.signal is None:
        return record.state
    return f"{record.state} {record.exit_code or 0}:{record.signal or 0}"
