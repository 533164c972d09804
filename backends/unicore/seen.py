"""What is known of one job from the looks at it, and the status that this means."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from backends.host.evidence import REVOKED, Files, parse_exit
from backends.host.outcome import COPY_CODES, decide
from backends.host.scheduler import Record
from backends.spec import JobRef, JobStatus, Phase
from backends.unicore.files import Entry
from backends.unicore.jobs import Look
from backends.unicore.preparation import FENCE
from backends.unicore.records import explained, record_of_end

LOG, EXIT, DISK_FULL = "mantik.log", "exit", "disk_full"
COPY_LIVES = timedelta(days=7)
"""How long the copy that passed the fence is taken to run when the server knows of another copy only."""
_PHASES = {"RUNNING": Phase.RUNNING, "STAGINGOUT": Phase.RUNNING}


@dataclass(slots=True)
class Seen:
    """Of one job, from the last sweeps."""

    look: Look | None = None
    """None: the server did not know it, or could not tell."""
    files: Files | None = None
    """None: its directory was not looked at yet."""
    details: Record | None = None
    crowded: bool = False
    """Whether so much is in its directory that only our own files are asked for."""
    fence_at: datetime | None = None
    changed_at: datetime | None = None
    """When it last showed something new."""
    details_at: datetime | None = None
    no_details: bool = False
    details_asked: bool = False
    """Whether they were what the last sweep asked for."""
    ready_since: datetime | None = None
    first_at: datetime | None = None
    asked_at: float | None = None
    """When the last sweep that asked about it ended well, on the monotonic clock."""
    kept_at: datetime | None = None
    looked_at_files: bool = False
    """Whether the directory was what the last sweep asked for."""
    life_signs: int = 0

    @property
    def begun(self) -> bool:
        """Whether the server says that it runs, or has run."""
        return self.look is not None and (self.look.status in _PHASES or self.look.ended)


def own_files(files: Files) -> list[str]:
    """What tells how a job goes that has passed its fence."""
    return [*(f"{FENCE}{passed}" for passed in files.fences), LOG, EXIT, DISK_FULL]


def files_of(there: Mapping[str, Entry], exit_text: bytes) -> Files:
    """From a listing of its directory, and the text of `exit`."""
    log = there.get(LOG)
    return Files(
        fences=tuple(sorted(name.removeprefix(FENCE) for name in there if name.startswith(FENCE))),
        exit=parse_exit(exit_text.decode(errors="replace")) if exit_text else None,
        disk_full=DISK_FULL in there,
        log_size=log.size if log else None,
    )


def status_of(ref: JobRef, seen: Seen, now: datetime) -> JobStatus:
    """What all of it together says; `now` is the site's time."""
    files, look = seen.files or Files(), seen.look
    passed = files.fence
    record = _record(ref, seen)
    status = JobStatus(
        ref=ref,
        phase=Phase.MISSING,
        site_state=look.status if look else "",
        submitted_at=look.submitted_at if look else None,
        log_size=files.log_size,
        # Whoever passed has our directory: there is one job to it, however often the site started that.
        fence=None if passed is None else REVOKED if passed == REVOKED else ref.id,
        usage=_usage(look),
    )
    if _only_a_copy(record, files, passed):
        lives = seen.fence_at is not None and now - seen.fence_at < COPY_LIVES
        return replace(status, phase=Phase.RUNNING if lives else Phase.MISSING)
    outcome = decide(passed or "", record, files)
    if outcome is not None:
        ended = files.exit.ended_at if files.exit else None
        return replace(status, phase=Phase.ENDED, outcome=explained(outcome, look), ended_at=ended)
    if record is None:
        return status
    shown = details if (details := seen.details) is not None else record
    return replace(
        status,
        phase=record.phase,
        pending_reason=shown.pending_reason,
        restarts=shown.restarts,
        started_at=shown.started_at or (seen.fence_at if record.phase is Phase.RUNNING else None),
        nodes=shown.nodes,
        account=shown.account,
    )


def _only_a_copy(record: Record | None, files: Files, passed: str | None) -> bool:
    """Whether the end that the server tells of is that of a copy, and the one that passed the fence may still run."""
    if record is None or files.exit is not None or passed in (None, REVOKED):
        return False
    return record.phase is Phase.ENDED and record.exit_code in COPY_CODES


def _record(ref: JobRef, seen: Seen) -> Record | None:
    """What the server says as a record of a scheduler; the details where they tell of an end that it does not see."""
    look = seen.look
    if look is None:
        return None
    if look.ended:
        return record_of_end(ref.id, look, seen.details)
    # A plain job's script ends well for the batch system, whatever the code; UNICORE will say more in a moment.
    told, files = seen.details, seen.files
    if told is not None and told.phase is Phase.ENDED and (told.reason or (files is not None and files.exit)):
        return told
    passed = files is not None and files.fence not in (None, REVOKED)
    if passed and files is not None and files.exit is not None and not look.started:
        return None  # a server that was killed takes it for not started: what the job itself wrote counts
    phase = _PHASES.get(look.status, Phase.QUEUED)
    if phase is Phase.QUEUED and passed:
        phase = Phase.RUNNING
    return Record(ref.id, phase, look.status)


def _usage(look: Look | None) -> dict[str, str]:
    if look is None:
        return {}
    named = {"elapsed": look.consumed.get("main"), "queued": look.consumed.get("queued"), "batchId": look.batch_id}
    return {name: value for name, value in named.items() if value}
