"""`sacct`: jobs that left the queue, and what they used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.batch_script.states import ending, phase
from backends.host.scheduler import Record
from backends.slurm.answers import SEPARATOR, moment, rows, unavailable
from backends.slurm.environment import command
from backends.spec import Phase

NO_ACCOUNTING = "accounting storage is disabled"

_FIELDS = (
    *("JobIDRaw", "State", "ExitCode", "Submit", "Start", "End", "Account"),
    *("ElapsedRaw", "CPUTimeRAW", "AllocTRES", "NodeList"),
)


@dataclass(frozen=True, slots=True)
class Sacct:
    """All rows of each job (`--duplicates`): one per start, so that restarts are counted.

    Text, not `--json`: on 22.05 that reports exit code 0 for a job that exited 3.
    """

    job_ids: tuple[str, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        return command(
            *("sacct", "--allocations", "--duplicates", "--parsable2", "--noheader", f"--delimiter={SEPARATOR}"),
            *(f"--jobs={','.join(self.job_ids)}", f"--format={','.join(_FIELDS)}"),
        )

    def parse(self, code: int, stdout: str, stderr: str) -> Mapping[str, Record]:
        if code != 0:
            if NO_ACCOUNTING in stderr:
                return {}
            raise unavailable("sacct", code, stderr)
        starts: dict[str, list[list[str]]] = {}
        for cells in rows(stdout, len(_FIELDS)):
            if cells[0].isdigit():
                starts.setdefault(cells[0], []).append(cells)
        return {
            job_id: _record(sorted(cells, key=lambda row: row[3]), len(cells) - 1) for job_id, cells in starts.items()
        }


def _record(starts: Sequence[Sequence[str]], restarts: int) -> Record:
    job_id, state, exits, submitted, started, ended, account, elapsed, cputime, alloctres, nodes = starts[-1]
    where = phase(state)
    exit_code, signal, cause = ending(state, exits) if where is Phase.ENDED else (None, None, None)
    return Record(
        job_id=job_id,
        phase=where,
        state=f"{state} {exits}" if exit_code is signal is None and not exits.startswith("0:0") else state,
        restarts=restarts,
        exit_code=exit_code,
        signal=signal,
        reason=cause,
        submitted_at=moment(submitted),
        started_at=moment(started),
        ended_at=moment(ended),
        nodes="" if nodes == "None assigned" else nodes,
        account=account,
        usage=_usage(elapsed, cputime, alloctres),
    )


def _usage(elapsed: str, cputime: str, alloctres: str) -> dict[str, str]:
    usage = {"elapsed": elapsed, "cputime": cputime, "alloctres": alloctres}
    billing = [part.partition("=")[2] for part in alloctres.split(",") if part.startswith("billing=")]
    usage["billing"] = billing[0] if billing else ""
    return {name: value for name, value in usage.items() if value}
