"""What a login shell's variables may not change in our commands.

Slurm reads defaults and filters from them, and for sbatch they even beat the `#SBATCH` lines of the script:
https://slurm.schedmd.com/sbatch.html#SECTION_INPUT-ENVIRONMENT-VARIABLES
"""

PLAIN_OUTPUT = ("LC_ALL=C", "TZ=UTC", "SLURM_TIME_FORMAT=standard")
"""Times as `2026-11-21T09:44:11`, in UTC whatever the zone of the host."""

QUEUE_FILTERS = tuple(
    f"SQUEUE_{name}"
    for name in (
        *("ACCOUNT", "ALL", "ARRAY", "FORMAT", "FORMAT2", "LICENSES", "NAMES", "PARTITION"),
        *("PRIORITY", "QOS", "SORT", "STATES", "USERS"),
    )
)

SUBMIT_DEFAULTS = tuple(
    f"SBATCH_{name}"
    for name in (
        *("ACCOUNT", "ACCTG_FREQ", "ARRAY_INX", "BATCH", "CLUSTER_CONSTRAINT", "COMMENT", "CONSTRAINT", "CONTAINER"),
        *("CORE_SPEC", "CPUS_PER_GPU", "DELAY_BOOT", "DISTRIBUTION", "ERROR", "EXCLUSIVE", "EXPORT", "GET_USER_ENV"),
        *("GPU_BIND", "GPU_FREQ", "GPUS", "GPUS_PER_NODE", "GPUS_PER_SOCKET", "GPUS_PER_TASK", "GRES", "GRES_FLAGS"),
        *("HINT", "IGNORE_PBS", "INPUT", "JOB_NAME", "MEM_BIND", "MEM_PER_CPU", "MEM_PER_GPU", "MEM_PER_NODE"),
        *("NETWORK", "NO_KILL", "NO_REQUEUE", "OPEN_MODE", "OUTPUT", "OVERCOMMIT", "PARTITION", "POWER", "PROFILE"),
        *("QOS", "REQ_SWITCH", "REQUEUE", "RESERVATION", "SIGNAL", "SPREAD_JOB", "THREAD_SPEC", "THREADS_PER_CORE"),
        *("TIMELIMIT", "TRES_BIND", "TRES_PER_TASK", "USE_MIN_NODES", "WAIT", "WAIT4SWITCH", "WAIT_ALL_NODES", "WCKEY"),
    )
)


def command(*argv: str, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """`argv` under `env`, with plain output and without the variables named."""
    removed = tuple(word for name in without for word in ("-u", name))
    return ("env", *removed, *PLAIN_OUTPUT, *argv)
