"""`GET jobs/{id}/details`: what a Slurm behind UNICORE says of a job, live, while UNICORE itself is silent.

The server cuts `scontrol show job` at its blanks, so values with blanks have lost what follows the first.
"""

from collections.abc import Mapping
from typing import Any

from backends.batch_script.states import ending, phase
from backends.host.scheduler import Record
from backends.spec import Phase

_OURS = "mantik-"
"""Begins the comment of a raw job: see `raw.raw_directives`."""
_NOTHING = frozenset({"(null)", "N/A", "None"})


def details_record(job_id: str, details: Any) -> Record | None:
    """As the Slurm backend has it from the queue; None where there is no Slurm, or it has forgotten the job.

    In a plain job the code that Slurm shows is that of UNICORE's wrapper, which ends well whatever the job did: only a
    state that names a cause counts then."""
    fields = {name: "" if value in _NOTHING else value for name, value in _fields(details).items()}
    state = fields.get("JobState", "")
    if not state:
        return None
    where, restarts = phase(state), fields.get("Restarts", "")
    code, signal, reason = ending(state, fields.get("ExitCode", "")) if where is Phase.ENDED else (None, None, None)
    if not fields.get("Comment", "").startswith(_OURS):
        code, signal = None, signal if reason is not None else None
    return Record(
        job_id=job_id,
        phase=where,
        state=state,
        restarts=int(restarts) if restarts.isdigit() else 0,
        pending_reason=fields.get("Reason", "") if where is Phase.QUEUED else "",
        exit_code=code,
        signal=signal,
        reason=reason,
        nodes=fields.get("NodeList", ""),
        account=fields.get("Account", ""),
    )


def _fields(details: Any) -> dict[str, str]:
    if isinstance(details, Mapping):
        found = {str(name): str(value) for name, value in details.items()}
        return found if "JobState" in found else _fields(found.get("rawDetailsData", ""))
    parts = (word.partition("=") for word in str(details).split())
    return {name: value for name, equals, value in parts if equals}
