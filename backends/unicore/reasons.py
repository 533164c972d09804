"""How a job ended in UNICORE's words: a reason, and a plain sentence with the next step."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from backends.batch_script.refusals import refused
from backends.host.scheduler import Record
from backends.reasons import Reason
from backends.spec import Phase

LIMITS = "`mantik connections check` shows the site's limits"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a job failed, as far as the server tells."""

    reason: Reason
    sentence: str
    text: str
    """The server's own words, unchanged."""
    exit_code: int | None = None


def cause_of(message: str, exit_code: int | None = None) -> Cause:
    """The cause of a FAILED job. `exit_code` is the server's, if it told one.

    Words that are not known here give LOST: they say that the job ended and not why."""
    for pattern, explain in _CAUSES:
        if found := re.search(pattern, message, re.DOTALL):
            reason, sentence, code = explain(found)
            return Cause(reason, sentence, message, code if code is not None else exit_code)
    if exit_code:
        return Cause(Reason.EXIT_CODE, f"The job ended with code {exit_code}; see its log.", message, exit_code)
    return Cause(Reason.LOST, _unknown(message), message, exit_code)


def ended_record(
    job_id: str, status: str, message: str, exit_code: int | None, details: Record | None = None
) -> Record:
    """An end as `backends.host.outcome` weighs it. What a Slurm behind UNICORE says of the end comes before UNICORE's
    words, which are the same for each end without an exit code. SUCCESSFUL alone is no evidence."""
    known = details if details is not None and details.phase is Phase.ENDED else None
    code, state, reason = exit_code, status, None
    if status == "FAILED":
        cause = cause_of(message, exit_code)
        code = cause.exit_code
        if cause.reason not in (Reason.LOST, Reason.EXIT_CODE):
            reason = cause.reason
        if cause.reason is not Reason.EXIT_CODE:
            state = f"{cause.sentence} UNICORE says: {status} {message}".strip()
    if known is None or code is not None:
        cause_there = known.reason if known is not None else None
        return Record(job_id, Phase.ENDED, state, exit_code=code, reason=cause_there or reason)
    if known.reason is None and known.exit_code is None and reason is not None:
        return Record(job_id, Phase.ENDED, state, signal=known.signal, reason=reason)
    return replace(known, job_id=job_id)


_Explained = tuple[Reason, str, int | None]


def _out_of_range(found: re.Match[str]) -> _Explained:
    field, value = found[1], found[2]
    if field == "Project":
        sentence = f"The compute budget account {value!r} is not open to you there; {LIMITS} and the accounts you have."
        return Reason.BUDGET_REFUSED, sentence, None
    if field == "Queue":
        return Reason.INVALID_CONFIG, f"Resources.Queue: the site has no queue {value!r}; {LIMITS} and queues.", None
    return Reason.INVALID_CONFIG, f"Resources.{field}: {value} is more or less than the queue takes; {LIMITS}.", None


def _not_available(found: re.Match[str]) -> _Explained:
    sentence = f"Resources.{found[1]}: queue {found[2]} does not take it. Leave it out, or choose another queue."
    return Reason.INVALID_CONFIG, sentence, None


def _unit(found: re.Match[str]) -> _Explained:
    return Reason.INVALID_CONFIG, f"UNICORE does not read the unit {found[1]!r}; write K, M, G or T.", None


def _staging(found: re.Match[str]) -> _Explained:
    why = found[1].strip().rstrip(".")
    return (
        Reason.STAGE_IN_FAILED,
        f"Files could not be brought into the job's directory: {why or 'no cause told'}.",
        None,
    )


def _commands(found: re.Match[str]) -> _Explained:
    when, field = ("before", "Pre") if found[1] == "Pre" else ("after", "Post")
    why = found[2].strip().rstrip(".") or "no cause told"
    sentence = f"A command on the login node {when} the job failed ({field}RunCommandOnLoginNode): {why}."
    return Reason.PREPARE_FAILED, sentence, None


def _exited(found: re.Match[str]) -> _Explained:
    return Reason.EXIT_CODE, f"The job ended with code {found[1]}; see its log.", int(found[1])


def _aborted(found: re.Match[str]) -> _Explained:
    return Reason.CANCELLED_ON_SITE, "The job was aborted on the site.", None


def _silent(found: re.Match[str]) -> _Explained:
    sentence = (
        "The batch system ended the job before it left an exit code, and does not tell why: it was cancelled there, "
        "ran out of time or memory, or a node failed. Look at the log's end, and ask for more time or memory."
    )
    return Reason.LOST, sentence, None


def _batch_system(found: re.Match[str]) -> _Explained:
    said = found[0].strip()
    refusal = refused(said, said.splitlines()[-1].strip().rstrip("."))
    return refusal.reason, refusal.message, None


def _invalid(found: re.Match[str]) -> _Explained:
    said = found[0].strip().rstrip(".")
    return Reason.REFUSED_BY_SITE, f"The site does not take the job: {said}. Check Resources in the config.", None


def _unknown(message: str) -> str:
    said = message.strip().rstrip(".")
    return f"The site ended the job: {said or 'it tells no cause'}. See the job's events and log."


_CAUSES: tuple[tuple[str, Callable[[re.Match[str]], _Explained]], ...] = (
    (r"Resource request <(\w+)\s*=\s*([^>]*?)\s*> is out of range", _out_of_range),
    (r"Resource <(\w+)> is not available for partition <([^>]*)>", _not_available),
    (r"No conversion for unit '([^']*)'", _unit),
    (r"Staging in failed\.?\s*(?:Reason:)?(.*)", _staging),
    (r"(Pre|Post)-command\(s\) failed:?(.*)", _commands),
    (r"User application exited with non-zero exit code: <(-?\d+)>", _exited),
    (r"Job (?:was )?aborted", _aborted),
    (r"Job did not complete normally on BSS", _silent),
    (r"sbatch: error:.*|Batch job submission failed.*", _batch_system),
    (r"[^:]*\(Invalid resource request\)", _invalid),
)
"""The first that fits. Each was seen on a real server."""
