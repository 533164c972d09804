"""The `#SBATCH` lines of a job."""

from math import ceil

from backends.batch_script import values
from backends.batch_script.tasks import tasks_of
from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import JobRequest

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
    tasks = tasks_of(resources)
    if resources.queue is None:
        raise InvalidJob("Resources.Queue is missing; name the queue to submit to.", reason=Reason.INVALID_CONFIG)
    lines = [f"--partition={values.names('Resources.Queue', resources.queue)}"]
    if request.account:
        lines.append(f"--account={values.name('The compute budget account', request.account)}")
    if resources.runtime is not None and resources.runtime.seconds:  # 0: the queue's own default
        lines.append(f"--time={ceil(resources.runtime.seconds / 60)}")
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
    if resources.memory_per_node is not None:
        lines.append(f"--mem={resources.memory_per_node.mebibytes}M")
    if resources.reservation:
        lines.append(f"--reservation={values.names('Resources.Reservation', resources.reservation)}")
    if resources.node_constraints:
        lines.append(f"--constraint={values.constraint('Resources.NodeConstraints', resources.node_constraints)}")
    if resources.qos:
        lines.append(f"--qos={values.name('Resources.QoS', resources.qos)}")
    return (*lines, *FIXED)
