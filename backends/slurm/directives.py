"""The `#SBATCH` lines of a job."""

from math import ceil

from backends.slurm import values
from backends.slurm.tasks import tasks_of
from backends.spec import JobRequest

MIB = 1024 * 1024

FIXED = (
    "--output=mantik.log",
    "--error=mantik.log",
    "--open-mode=append",  # a requeue would truncate the log
    # The login node's variables do not leak into the job. The script exports SLURM_EXPORT_ENV=ALL, without which
    # every srun step would start empty, too: https://slurm.schedmd.com/sbatch.html#OPT_export
    "--export=NONE",
    "--requeue",
    "--mail-type=NONE",
)


def directives(request: JobRequest) -> tuple[str, ...]:
    """Options without `#SBATCH`, one per line; no absolute path, no name or tag, so that they are the same for each
    attempt.

    Raises InvalidJob with reason INVALID_CONFIG, naming the field that Slurm cannot take.
    """
    resources = request.config.resources
    tasks = tasks_of(resources.total_cpus, resources.cpus_per_node, resources.tasks_per_node, resources.cpus_per_task)
    lines = [f"--partition={values.names('Resources.Queue', resources.queue)}"]
    if request.account:
        lines.append(f"--account={values.name('The compute budget account', request.account)}")
    if resources.runtime is not None:
        lines.append(f"--time={ceil(resources.runtime / 60)}")
    memory = resources.memory_per_node
    for option, number in (
        ("nodes", resources.nodes),
        ("ntasks", tasks.total),
        ("ntasks-per-node", tasks.per_node),
        ("cpus-per-task", tasks.cpus_each),
    ):
        if number is not None:
            lines.append(f"--{option}={number}")
    if resources.gpus_per_node:
        lines.append(f"--gres=gpu:{resources.gpus_per_node}")
    if memory is not None:
        lines.append(f"--mem={ceil(memory / MIB)}M")
    if resources.reservation:
        lines.append(f"--reservation={values.names('Resources.Reservation', resources.reservation)}")
    if resources.node_constraints:
        lines.append(f"--constraint={values.constraint('Resources.NodeConstraints', resources.node_constraints)}")
    if resources.qos:
        lines.append(f"--qos={values.name('Resources.QoS', resources.qos)}")
    return (*lines, *FIXED)
