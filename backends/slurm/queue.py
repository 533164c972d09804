"""`squeue`: the live jobs of a tick in one question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.batch_script.states import ending, left_queue, phase
from backends.host.scheduler import Record
from backends.slurm.answers import SEPARATOR, moment, number, rows, unavailable
from backends.slurm.environment import QUEUE_FILTERS, command
from backends.spec import Phase

UNKNOWN_ONLY = "Invalid job id specified"
"""squeue fails so when it knows none of the ids, and leaves unknown ones out when it knows one."""

_FIELDS = (
    *("JobID", "State", "exit_code", "RestartCnt", "SubmitTime", "StartTime", "EndTime"),
    *("Account", "NodeList", "Reason"),
)
"""The reason is last: an administrator may write anything there."""


@dataclass(frozen=True, slots=True)
class Squeue:
    """Also jobs that ended within the site's MinJobAge (`--states=all`): a site may have no accounting, or none now.

    Text, not `--json`: that ignores every filter on 22.05 and is twelve times slower.
    """

    job_ids: tuple[str, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        layout = ",".join(f"{field}:{SEPARATOR}" for field in _FIELDS)
        return command(
            "squeue",
            "--noheader",
            "--states=all",
            f"--jobs={','.join(self.job_ids)}",
            f"--Format={layout}",
            without=QUEUE_FILTERS,
        )

    def parse(self, code: int, stdout: str, stderr: str) -> Mapping[str, Record]:
        if code != 0 and UNKNOWN_ONLY not in stderr:
            raise unavailable("squeue", code, stderr)
        records = (_record(cells) for cells in rows(stdout, len(_FIELDS)) if cells[0].isdigit())
        return {record.job_id: record for record in records if not left_queue(record.state)}


def _record(cells: Sequence[str]) -> Record:
    job_id, state, exits, restarts, submitted, started, ended, account, nodes, why = cells
    where = phase(state)
    exit_code, signal, cause = ending(state, exits) if where is Phase.ENDED else (None, None, None)
    why = why.removesuffix(SEPARATOR).strip()
    return Record(
        job_id=job_id,
        phase=where,
        state=state,
        restarts=number(restarts) or 0,
        pending_reason=why if where is Phase.QUEUED and why != "None" else "",
        exit_code=exit_code,
        signal=signal,
        reason=cause,
        submitted_at=moment(submitted),
        # What a pending job shows is when it is expected to start, and what a running one shows is its limit.
        started_at=moment(started) if where is not Phase.QUEUED else None,
        ended_at=moment(ended) if where is Phase.ENDED else None,
        nodes=nodes,
        account=account,
    )
