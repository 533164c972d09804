"""The Slurm dialect."""

from collections.abc import Mapping, Sequence

from backends.host.scheduler import Command, Record
from backends.slurm.accounting import Sacct
from backends.slurm.cancellation import Scancel
from backends.slurm.queue import Squeue
from backends.slurm.search import HistoryByName, QueueByName
from backends.slurm.submission import Sbatch


class SlurmScheduler:
    """See `Scheduler`. Command lines hold for Slurm 20.11 and later; answers were recorded on 22.05."""

    def submit(self, tag: str) -> Command[str]:
        return Sbatch(tag)

    def queue(self, job_ids: Sequence[str]) -> Command[Mapping[str, Record]]:
        return Squeue(tuple(job_ids))

    def history(self, job_ids: Sequence[str]) -> Command[Mapping[str, Record]]:
        return Sacct(tuple(job_ids))

    def find(self, tag: str) -> Sequence[Command[Sequence[str]]]:
        """The queue first: for some seconds after a submission accounting has another name for the job."""
        return (QueueByName(tag), HistoryByName(tag))

    def cancel(self, job_id: str) -> Command[None]:
        return Scancel(job_id)
