"""What UNICORE's own `Resources` bring to the site's scheduler as they are meant.

Behind UNICORE stands Slurm at most sites. What its adapter does with each field was seen on a real one (UNICORE/X
11.0.0 before Slurm 22.05): memory from 2 GiB on is left out or becomes 1 GiB, GPUs are left out, and it knows no CPUs
for each task.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from backends.batch_script import values
from backends.batch_script.tasks import Tasks, tasks_of
from backends.errors import InvalidJob
from backends.reasons import Reason
from compute_backend_configs import Resources

LARGEST_MEMORY = 2047
"""MiB. The number of bytes has to fit into 31 bits on its way."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A field that would not arrive as it is meant."""

    field: str
    why: str
    """Goes on from the field's name: `Resources.GPUsPerNode is 4, ...`."""


@dataclass(frozen=True, slots=True)
class Translation:
    """The `Resources` of a job description, and what they cannot carry."""

    resources: Mapping[str, str]
    losses: tuple[Loss, ...]


def translate(wanted: Resources) -> Translation:
    """All values are texts. Times are whole minutes in seconds, for Slurm counts minutes.

    Raises InvalidJob with reason INVALID_CONFIG, naming the field that no scheduler could take."""
    if wanted.queue is None:
        raise InvalidJob("Resources.Queue is missing; name the queue to submit to.", reason=Reason.INVALID_CONFIG)
    sent, losses = {}, []
    queue = values.names("Resources.Queue", wanted.queue)
    if "," in queue:
        losses.append(Loss("Resources.Queue", f"is {queue}, and UNICORE takes one queue"))
    else:
        sent["Queue"] = queue
    if wanted.runtime is not None and wanted.runtime.seconds:  # 0: the queue's own default
        sent["Runtime"] = str(ceil(wanted.runtime.seconds / 60) * 60)
    cpus, lost = _cpus(wanted, tasks_of(wanted))
    sent |= cpus
    losses += lost
    if wanted.memory_per_node is not None:
        if wanted.memory_per_node.mebibytes <= LARGEST_MEMORY:
            sent["MemoryPerNode"] = f"{wanted.memory_per_node.mebibytes}M"
        else:
            why = f"is {wanted.memory_per_node}, and UNICORE hands on no more than {LARGEST_MEMORY}M"
            losses.append(Loss("Resources.MemoryPerNode", why))
    if wanted.gpus_per_node:
        losses.append(Loss("Resources.GPUsPerNode", f"is {wanted.gpus_per_node}, and UNICORE does not hand GPUs on"))
    return Translation(sent | _words(wanted), tuple(losses))


def _words(wanted: Resources) -> dict[str, str]:
    found = {}
    if wanted.reservation:
        found["Reservation"] = values.names("Resources.Reservation", wanted.reservation)
    if wanted.node_constraints:
        found["NodeConstraints"] = values.constraint("Resources.NodeConstraints", wanted.node_constraints)
    if wanted.qos:
        found["QoS"] = values.name("Resources.QoS", wanted.qos)
    return found


def _cpus(wanted: Resources, tasks: Tasks) -> tuple[dict[str, str], list[Loss]]:
    """UNICORE has Nodes with CPUsPerNode, which become nodes and tasks on each; or TotalCPUs, which become tasks."""
    nodes, total, on_each = wanted.nodes, tasks.total, tasks.per_node
    if tasks.cpus_each is not None and tasks.cpus_each > 1:
        field = "CPUsPerTask" if wanted.cpus_per_task else "CPUsPerNode" if wanted.cpus_per_node else "TotalCPUs"
        return {}, [Loss(f"Resources.{field}", f"asks for {tasks.cpus_each} CPUs for each task, which UNICORE has not")]
    if on_each is not None and nodes is None:
        field = "TasksPerNode" if wanted.tasks_per_node else "CPUsPerNode"
        return {}, [Loss(f"Resources.{field}", f"is {on_each}, which UNICORE leaves out without Resources.Nodes")]
    if total is not None and nodes is not None and total != nodes * (on_each or 0):
        return {}, [Loss("Resources.TotalCPUs", f"is {total}, which UNICORE does not take together with Nodes {nodes}")]
    if nodes is None:
        return ({"TotalCPUs": str(total)} if total is not None else {}), []
    return {"Nodes": str(nodes)} | ({"CPUsPerNode": str(on_each)} if on_each is not None else {}), []
