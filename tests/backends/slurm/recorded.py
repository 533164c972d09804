"""Answers of a real Slurm 22.05.8 (Debian 12), recorded from `tests/sites/slurm` with the commands of `backends.slurm`.

Only the separator is written as `|` here; `answer` puts it back.
"""

from backends.slurm.answers import SEPARATOR


def answer(text: str) -> str:
    return text.replace("|", SEPARATOR)


# 23: exit 0; 24: exit 3; 25: kill -9; 27: exit 137; 28: its directory did not exist.
QUEUE = answer(
    "19|PENDING|0|0|2026-11-21T10:01:57|N/A|N/A|tiny||JobHeldUser|\n"
    "10|PENDING|0|2|2026-11-21T10:02:54|2026-11-21T10:04:55|2026-11-21T10:14:55|budget-a||BeginTime|\n"
    "12|RUNNING|0|0|2026-11-21T10:01:57|2026-11-21T10:01:57|2026-11-21T10:11:57|budget-a|c1|None|\n"
    "11|PENDING|0|0|2026-11-21T10:01:57|N/A|N/A|budget-a||"
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions|\n"
    "23|COMPLETED|0|0|2026-11-21T10:18:18|2026-11-21T10:18:19|2026-11-21T10:18:19|budget-a|c1|None|\n"
    "26|COMPLETING|0|0|2026-11-21T10:18:18|2026-11-21T10:18:19|2026-11-21T10:18:21|budget-a|c1|None|\n"
    "24|FAILED|768|0|2026-11-21T10:18:18|2026-11-21T10:18:19|2026-11-21T10:18:19|budget-a|c1|NonZeroExitCode|\n"
    "25|FAILED|9|0|2026-11-21T10:18:18|2026-11-21T10:18:19|2026-11-21T10:18:19|budget-a|c1|JobLaunchFailure|\n"
    "27|FAILED|35072|0|2026-11-21T10:18:18|2026-11-21T10:18:19|2026-11-21T10:18:19|budget-a|c1|NonZeroExitCode|\n"
    "28|FAILED|4021|0|2026-11-21T10:18:18|2026-11-21T10:18:19|2026-11-21T10:18:19|budget-a|c1|JobLaunchFailure|\n"
)
# 10: scontrol requeue, then preempted, then waiting; 15: its directory did not exist; 16: kill -9; 17: exit 137.
HISTORY = answer(
    "10|REQUEUED|0:0|2026-11-21T10:01:57|None|2026-11-21T10:01:59|budget-a|0|0|billing=32,cpu=32,mem=2G,node=1|c4\n"
    "11|CANCELLED by 1001|0:0|2026-11-21T10:01:57|2026-11-21T10:02:07|2026-11-21T10:02:29|budget-a|22|22|"
    "billing=1,cpu=1,mem=64M,node=1|c4\n"
    "12|TIMEOUT|0:0|2026-11-21T10:01:57|2026-11-21T10:01:57|2026-11-21T10:02:21|budget-a|24|24|"
    "billing=1,cpu=1,mem=64M,node=1|c1\n"
    "13|NODE_FAIL|0:0|2026-11-21T10:01:57|2026-11-21T10:01:57|2026-11-21T10:01:59|budget-a|2|2|"
    "billing=1,cpu=1,mem=64M,node=1|c3\n"
    "15|FAILED|0:53|2026-11-21T10:01:57|2026-11-21T10:01:57|2026-11-21T10:01:57|budget-a|0|0|"
    "billing=1,cpu=1,mem=64M,node=1|c1\n"
    "16|FAILED|0:9|2026-11-21T10:01:57|2026-11-21T10:01:57|2026-11-21T10:01:57|budget-a|0|0|"
    "billing=1,cpu=1,mem=64M,node=1|c1\n"
    "17|FAILED|9:0|2026-11-21T10:01:57|2026-11-21T10:01:57|2026-11-21T10:01:57|budget-a|0|0|"
    "billing=1,cpu=1,mem=64M,node=1|c1\n"
    "19|PENDING|0:0|2026-11-21T10:01:57|Unknown|Unknown|tiny|0|0||None assigned\n"
    "10|PREEMPTED|0:0|2026-11-21T10:02:02|2026-11-21T10:02:33|2026-11-21T10:02:50|budget-a|17|544|"
    "billing=32,cpu=32,gres/gpu=4,mem=2G,node=1|c4\n"
    "1|FAILED|3:0|2026-11-21T09:59:32|2026-11-21T09:59:33|2026-11-21T09:59:35|budget-a|2|2|"
    "billing=1,cpu=1,mem=64M,node=1|c1\n"
    "3|COMPLETED|0:0|2026-11-21T09:59:32|2026-11-21T09:59:33|2026-11-21T09:59:35|budget-a|2|2|"
    "billing=1,cpu=1,mem=64M,node=1|c1\n"
)
QUEUES = answer(
    "batch*|up|1-00:00:00|1-infinite|4|32|65536|gpu:4\n"
    "debug|up|5:00|1-infinite|1|32|65536|gpu:4\n"
    "requeue|up|1:00:00|1-infinite|1|32|65536|gpu:4\n"
)
ACCOUNTS = "budget-a|one-job|\nbudget-a|tiny|\nbudget-a|budget-a|\n"
BUDGETS = """Current Association Manager state

Association Records

ClusterName=lab Account=budget-a UserName= Partition= Priority=0 ID=3
    SharesRaw/Norm/Level/Factor=1/0.20/5/0.00
    UsageRaw/Norm/Efctv=2.00/1.00/1.00
    ParentAccount=root(1) Lft=14 DefAssoc=No
    GrpJobs=N(0) GrpJobsAccrue=N(0)
    GrpSubmitJobs=N(0) GrpWall=N(0.03)
    GrpTRES=cpu=N(0),mem=N(0),energy=N(0),node=N(0),billing=N(0),fs/disk=N(0),vmem=N(0),pages=N(0),gres/gpu=N(0)
    GrpTRESMins=cpu=N(0),mem=N(2),energy=N(0),node=N(0),billing=N(0),fs/disk=N(0),vmem=N(0),pages=N(0),gres/gpu=N(0)
    GrpTRESRunMins=cpu=N(0),mem=N(0),energy=N(0),node=N(0),billing=N(0),fs/disk=N(0),vmem=N(0),pages=N(0),gres/gpu=N(0)
    MaxJobs= MaxJobsAccrue= MaxSubmitJobs= MaxWallPJ=
ClusterName=lab Account=tiny UserName= Partition= Priority=0 ID=5
    ParentAccount=root(1) Lft=6 DefAssoc=No
    GrpTRESMins=cpu=1(0),mem=N(0),energy=N(0),node=N(0),billing=N(0),fs/disk=N(0),vmem=N(0),pages=N(0),gres/gpu=N(0)
    GrpTRESRunMins=cpu=N(0),mem=N(0),energy=N(0),node=N(0),billing=N(0),fs/disk=N(0),vmem=N(0),pages=N(0),gres/gpu=N(0)
ClusterName=lab Account=tiny UserName=alice(1001) Partition= Priority=0 ID=8
    ParentAccount= Lft=7 DefAssoc=No
    GrpTRESMins=cpu=N(0),mem=N(0),energy=N(0),node=N(0),billing=N(0),fs/disk=N(0),vmem=N(0),pages=N(0),gres/gpu=N(0)
"""

# code, standard error
REFUSALS = {
    "account": (
        1,
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n",
    ),
    "queue": (
        1,
        "sbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
    ),
    "gpus": (1, "sbatch: error: Batch job submission failed: Requested node configuration is not available\n"),
    "memory": (
        1,
        "sbatch: error: Memory specification can not be satisfied\n"
        "sbatch: error: Batch job submission failed: Requested node configuration is not available\n",
    ),
    "time": (255, "sbatch: error: Invalid --time specification\n"),
    "option": (255, "sbatch: unrecognized option '--nosuch'\nTry \"sbatch --help\" for more information\n"),
    "reservation": (1, "sbatch: error: Batch job submission failed: Requested reservation is invalid\n"),
    "feature": (1, "sbatch: error: Batch job submission failed: Invalid feature specification\n"),
    "gres": (1, "sbatch: error: Invalid generic resource (gres) specification\n"),
    "script": (1, "sbatch: error: Unable to open file nosuchfile.sh\n"),
    "jobs": (
        1,
        "sbatch: error: AssocMaxSubmitJobLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS "
        "policy (job submit limit, user's size and/or time limits)\n",
    ),
    "budget": (
        1,
        "sbatch: error: QOSGrpCPUMinutesLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS "
        "policy (job submit limit, user's size and/or time limits)\n",
    ),
    "node count": (255, 'sbatch: error: "x" is not a valid node count\n'),
}
CONTROLLER_DOWN = (
    1,
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
)
DATABASE_DOWN = (1, "sacct: error: Problem talking to the database: Connection refused\n")
UNKNOWN_ONLY = (1, "slurm_load_jobs error: Invalid job id specified\n")
