"""How the CPU fields of a config become tasks of Slurm."""

from dataclasses import dataclass

from backends.errors import InvalidJob
from backends.reasons import Reason
from compute_backend_configs import Resources


@dataclass(frozen=True, slots=True)
class Tasks:
    """What stands in `--ntasks`, `--ntasks-per-node` and `--cpus-per-task`; None leaves the line out."""

    total: int | None = None
    per_node: int | None = None
    cpus_each: int | None = None


def tasks_of(resources: Resources) -> Tasks:
    """`TotalCPUs` counts CPUs, Slurm's `--ntasks` tasks: the two are the same only where each task has one CPU.

    Raises InvalidJob with reason INVALID_CONFIG when the CPUs cannot be shared out.
    """
    tasks, each, total = resources.layout.tasks_per_node, resources.layout.cpus_per_task, resources.total_cpus
    if total is None:
        return Tasks(None, tasks, each)
    if each is None and resources.nodes and resources.tasks_per_node:
        # More tasks than the nodes may hold would be asked for, where more CPUs for each are meant.
        each = _divide(total, resources.nodes * resources.tasks_per_node, "Nodes times TasksPerNode")
    return Tasks(total if each is None else _divide(total, each, "CPUsPerTask"), tasks, each)


def _divide(total: int, by: int, what: str) -> int:
    if total % by:
        message = f"Resources.TotalCPUs ({total}) is no multiple of {what} ({by}); change one of them."
        raise InvalidJob(message, reason=Reason.INVALID_CONFIG)
    return total // by
