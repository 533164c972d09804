"""A scheduler's dialect as commands: argv out, text in, a parsed value or a typed error. No transport, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from backends.reasons import Reason
from backends.spec import Phase

T_co = TypeVar("T_co", covariant=True)


class Command(Protocol[T_co]):
    """One command line of the scheduler."""

    @property
    def argv(self) -> tuple[str, ...]: ...

    def parse(self, code: int, stdout: str, stderr: str) -> T_co:
        """Turn what it printed into a value, or raise a BackendError."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """What the scheduler or its accounting says of one job."""

    job_id: str
    phase: Phase
    state: str
    """The scheduler's word, e.g. `RUNNING`, `CANCELLED by 1001`."""
    restarts: int = 0
    pending_reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    reason: Reason | None = None
    """Set when the final state names the cause by itself (OUT_OF_MEMORY, TIME_LIMIT, NODE_FAILURE, PREEMPTED,
    CANCELLED_ON_SITE)."""
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    nodes: str = ""
    account: str = ""
    usage: Mapping[str, str] = field(default_factory=dict)


class Scheduler(Protocol):
    """One dialect. `queue` and `history` are asked for all jobs of a tick in one command each."""

    def submit(self, tag: str) -> Command[str]:
        """Run in the attempt's directory, submits `job.sh`; parses to the job id.

        `parse` raises InvalidJob (refused for good), SiteUnavailable (surely not submitted; may be tried again)
        or SubmitUncertain (the answer leaves it open)."""
        ...

    def queue(self, job_ids: Sequence[str]) -> Command[Mapping[str, Record]]:
        """The live jobs of these; a job that is not in the answer has left the queue. Raises SiteUnavailable."""
        ...

    def history(self, job_ids: Sequence[str]) -> Command[Mapping[str, Record]] | None:
        """Accounting of jobs that left the queue; None where there is none. Raises SiteUnavailable."""
        ...

    def find(self, tag: str) -> Sequence[Command[Sequence[str]]]:
        """Commands that together find every job id with this tag; each raises SiteUnavailable."""
        ...

    def cancel(self, job_id: str) -> Command[None]:
        """Raises SiteUnavailable."""
        ...
