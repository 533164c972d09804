"""How the CPU fields of a config become tasks of Slurm."""

from dataclasses import dataclass

from backends.errors import InvalidJob
from backends.reasons import Reason


@dataclass(frozen=True, slots=True)
class Tasks:
    """What stands in `--ntasks`, `--ntasks-per-node` and `--cpus-per-task`; None leaves the line out."""

    total: int | None = None
    per_node: int | None = None
    cpus_each: int | None = None


def tasks_of(
    total_cpus: int | None, cpus_per_node: int | None, tasks_per_node: int | None, cpus_per_task: int | None
) -> Tasks:
    """`CPUsPerNode` alone keeps the published meaning: that many tasks per node, of one CPU each. Beside
    `TasksPerNode` or `CPUsPerTask` it is what it says.

    Raises InvalidJob with reason INVALID_CONFIG when the numbers contradict each other.
    """
    if cpus_per_node is not None:
        if tasks_per_node is None and cpus_per_task is None:
            tasks_per_node = cpus_per_node
        elif tasks_per_node is None and cpus_per_task is not None:
            tasks_per_node = _divide("CPUsPerNode", cpus_per_node, "CPUsPerTask", cpus_per_task)
        elif tasks_per_node is not None and cpus_per_task is None:
            cpus_per_task = _divide("CPUsPerNode", cpus_per_node, "TasksPerNode", tasks_per_node)
        elif (tasks_per_node or 0) * (cpus_per_task or 0) != cpus_per_node:
            raise _invalid(
                f"Resources.CPUsPerNode is {cpus_per_node}, but TasksPerNode times CPUsPerTask is "
                f"{(tasks_per_node or 0) * (cpus_per_task or 0)}; leave one of the three out."
            )
    total = None
    if total_cpus is not None:
        total = total_cpus if cpus_per_task is None else _divide("TotalCPUs", total_cpus, "CPUsPerTask", cpus_per_task)
    return Tasks(total, tasks_per_node, cpus_per_task)


def _divide(name: str, value: int, by_name: str, by: int) -> int:
    if value % by:
        raise _invalid(f"Resources.{name} ({value}) is no multiple of {by_name} ({by}); change one of them.")
    return value // by


def _invalid(message: str) -> InvalidJob:
    return InvalidJob(message, reason=Reason.INVALID_CONFIG)
