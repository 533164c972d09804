"""What a job asks of the site's scheduler."""

from dataclasses import dataclass

from pydantic import Field

from compute_backend_configs.duration import Runtime
from compute_backend_configs.fields import Count, Line, Name, Positive, Section
from compute_backend_configs.memory import Memory


@dataclass(frozen=True)
class TaskLayout:
    """What the scheduler is asked for on each node; None leaves it to the site."""

    tasks_per_node: int | None
    cpus_per_task: int | None


class Resources(Section):
    """What a job asks for; what is left out is the site's default."""

    queue: Name | None = Field(
        default=None, alias="Queue", description="Queue (partition); required except with `Local`."
    )
    runtime: Runtime | None = Field(
        default=None, alias="Runtime", description="Longest run time; `0` leaves it to the queue."
    )
    nodes: Positive | None = Field(default=None, alias="Nodes", description="Number of nodes.")
    total_cpus: Positive | None = Field(default=None, alias="TotalCPUs", description="CPUs over all nodes.")
    cpus_per_node: Positive | None = Field(
        default=None,
        alias="CPUsPerNode",
        description="CPUs on each node. Without `TasksPerNode` and `CPUsPerTask` it is the number of tasks per node, "
        "as the published client had it.",
    )
    tasks_per_node: Positive | None = Field(default=None, alias="TasksPerNode", description="Tasks on each node.")
    cpus_per_task: Positive | None = Field(default=None, alias="CPUsPerTask", description="CPUs for each task.")
    gpus_per_node: Count | None = Field(default=None, alias="GPUsPerNode", description="GPUs on each node.")
    memory_per_node: Memory | None = Field(
        default=None, alias="MemoryPerNode", description="Memory on each node, with a unit; units are binary."
    )
    reservation: Name | None = Field(default=None, alias="Reservation", description="Reservation to run in.")
    node_constraints: Line | None = Field(
        default=None, alias="NodeConstraints", description="Features that the nodes must have."
    )
    qos: Name | None = Field(default=None, alias="QoS", description="Quality of service.")

    @property
    def layout(self) -> TaskLayout:
        """Tasks per node and CPUs per task, with what `CPUsPerNode` says about them worked in."""
        tasks, cpus, node = self.tasks_per_node, self.cpus_per_task, self.cpus_per_node
        if node is not None:
            if tasks is None and cpus is None:
                tasks = node
            elif tasks is not None and cpus is None:
                cpus = node // tasks
            elif tasks is None and cpus is not None:
                tasks = node // cpus
        return TaskLayout(tasks, cpus)
