"""How a job ended, by the design's order of evidence. Pure: the same evidence gives the same outcome."""

from backends.backend import DUPLICATE_EXIT_CODE, NO_FENCE_EXIT_CODE, REVOKED_EXIT_CODE
from backends.host.evidence import Files
from backends.host.scheduler import Record
from backends.reasons import Reason
from backends.spec import EvidenceSource, Outcome, Phase, Result

COPY_CODES = frozenset({REVOKED_EXIT_CODE, DUPLICATE_EXIT_CODE, NO_FENCE_EXIT_CODE})
"""How a copy ends that did not pass the fence; such an end says nothing of the run."""
SIGNAL_BASE = 128
KILL, TERM = 9, 15


def decide(job_id: str, record: Record | None, files: Files) -> Outcome | None:
    """The outcome, or None while there is no evidence of an end. The scheduler must have let go of the job:
    an `exit` file counts only then, and only when it is of this job and of its last start."""
    if record is not None and record.phase is not Phase.ENDED:
        return None
    written = files.exit
    if written is not None and written.job_id == job_id and (record is None or written.restarts >= record.restarts):
        return _from_code(written.code, written.signal, EvidenceSource.EXIT_FILE, record, files)
    if files.site_exit is not None:
        return _from_code(files.site_exit, None, EvidenceSource.SITE_EXIT_CODE, record, files)
    if record is None:
        return None
    return _from_record(record)


def _from_code(code: int, signal: int | None, source: EvidenceSource, record: Record | None, files: Files) -> Outcome:
    text = _text(record)
    if code == 0 and signal is None:
        return Outcome(Result.FINISHED, source, None, 0, None, text)
    if signal is None and code > SIGNAL_BASE and code <= SIGNAL_BASE + 64:
        signal = code - SIGNAL_BASE
    reason = Reason.EXIT_CODE
    if signal is not None and record is not None and record.reason is not None:
        reason = record.reason
    elif signal is not None and files.time_limit:
        reason = Reason.TIME_LIMIT
    result = Result.CANCELLED if reason is Reason.CANCELLED_ON_SITE else Result.FAILED
    return Outcome(result, source, reason, code, signal, text)


def _from_record(record: Record) -> Outcome | None:
    text = _text(record)
    if record.exit_code in COPY_CODES and not record.signal:
        # It found no ticket that it could turn into its fence: our code did not run in this copy.
        return Outcome(Result.FAILED, EvidenceSource.FINAL_STATE, Reason.LOST, record.exit_code, None, text)
    if record.reason is not None:
        result = Result.CANCELLED if record.reason is Reason.CANCELLED_ON_SITE else Result.FAILED
        source = EvidenceSource.SCHEDULER_DETAILS
        return Outcome(result, source, record.reason, record.exit_code, record.signal, text)
    if record.exit_code is not None and (record.exit_code or record.signal):
        source = EvidenceSource.SITE_EXIT_CODE
        return Outcome(Result.FAILED, source, Reason.EXIT_CODE, record.exit_code, record.signal, text)
    # The scheduler says it went well, and our own script left no word: nobody knows that the code ran to its end.
    return Outcome(Result.FAILED, EvidenceSource.FINAL_STATE, Reason.LOST, record.exit_code, record.signal, text)


def _text(record: Record | None) -> str:
    if record is None:
        return ""
    codes = "" if record.exit_code is None else f" {record.exit_code}:{record.signal or 0}"
    return f"{record.state}{codes}"
