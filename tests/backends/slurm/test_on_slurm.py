"""A real Slurm over a real sshd: what it bills, how it ends jobs, and that each attempt runs once."""

import asyncio
import shutil
from pathlib import Path

import pytest

from backends.backend import DUPLICATE_EXIT_CODE, REVOKED_EXIT_CODE
from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import EvidenceSource, JobRef, Phase, Result, Revoked
from tests.backends.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm

ONCE_THEN_AGAIN = 'echo "start $SLURM_RESTART_COUNT"; [ "${SLURM_RESTART_COUNT:-0}" != 0 ] || sleep 300'


async def test_check_tells_queues_accounts_and_version(cluster: Cluster) -> None:
    info = await cluster.backend.check()
    assert info.user == cluster.site.user
    assert info.version.startswith("Slurm ")
    queues = {queue.name: queue for queue in info.queues}
    assert {"batch", "debug", "requeue", "scavenge"} <= queues.keys()
    assert queues["batch"].default
    assert queues["debug"].max_seconds == 300
    assert (queues["batch"].cpus_per_node, queues["batch"].gpus_per_node) == (32, 4)
    accounts = {account.name: account for account in info.accounts}
    assert accounts["budget-a"].default
    assert accounts["tiny"].unit == "CPU minutes"
    assert accounts["tiny"].remaining is not None
    assert info.work_directory.startswith(f"{cluster.site.scratch}/{cluster.site.user}/")
    assert info.free_bytes
    assert info.notes == ()


async def test_account_is_billed(cluster: Cluster) -> None:
    ref = await cluster.submit("echo hello", account="one-job")
    status = await cluster.ended(ref)
    assert status.outcome is not None
    assert (status.outcome.result, status.outcome.evidence) == (Result.FINISHED, EvidenceSource.EXIT_FILE)
    assert status.account == "one-job"
    assert "hello" in await cluster.log(ref.handle)
    wanted = f"one-job|{ref.handle.tag}|{ref.handle.tag}"
    for _ in range(200):  # accounting has the name some seconds after the submission, the comment at the end
        billed = cluster.site.run("sacct", "-X", "-n", "-P", "-j", ref.id, "-o", "account,jobname,comment").strip()
        if billed == wanted:
            break
        await asyncio.sleep(0.1)
    assert billed == wanted


@pytest.mark.parametrize(
    ("resources", "account", "sentence", "reason"),
    [
        ({}, "nobodys", "Check the compute budget account", Reason.BUDGET_REFUSED),
        ({"Queue": "nowhere"}, None, "no queue 'nowhere'.*check Resources.Queue", Reason.REFUSED_BY_SITE),
        ({"GPUsPerNode": 9}, None, "GPUsPerNode", Reason.REFUSED_BY_SITE),
        ({"MemoryPerNode": "900G"}, None, "lower Resources.MemoryPerNode", Reason.REFUSED_BY_SITE),
        ({"Reservation": "none"}, None, "check Resources.Reservation", Reason.REFUSED_BY_SITE),
        ({"NodeConstraints": "quantum"}, None, "check Resources.NodeConstraints", Reason.REFUSED_BY_SITE),
    ],
)
async def test_refused_for_good(
    cluster: Cluster, resources: dict[str, object], account: str | None, sentence: str, reason: Reason
) -> None:
    with pytest.raises(InvalidJob, match=sentence) as caught:
        await cluster.submit("true", resources=resources, account=account)
    assert caught.value.reason is reason
    assert "error" in caught.value.text


@pytest.mark.parametrize("resources", [{"Nodes": 9}, {"Queue": "debug", "Runtime": "10m"}])
async def test_limits_that_slurm_takes_and_lets_wait(cluster: Cluster, resources: dict[str, object]) -> None:
    """Without EnforcePartLimits Slurm accepts these; the reason is what a person sees."""
    ref = await cluster.submit("true", resources=resources)
    status = await cluster.until(ref, lambda status: status.pending_reason not in ("", "None", "Priority"))
    assert status.phase is Phase.QUEUED
    assert status.pending_reason in ("PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit")
    await cluster.backend.cancel(ref)
    assert (await cluster.ended(ref)).outcome is not None


async def test_cancelled_on_the_site(cluster: Cluster) -> None:
    ref = await cluster.submit("sleep 300")
    await cluster.running(ref)
    cluster.site.run("scancel", ref.id, user=cluster.site.user)
    outcome = (await cluster.ended(ref)).outcome
    assert outcome is not None
    assert (outcome.result, outcome.reason) == (Result.CANCELLED, Reason.CANCELLED_ON_SITE)


async def test_cancelled_while_it_waits(cluster: Cluster) -> None:
    ref = await cluster.submit("true", resources={"Nodes": 9})
    await cluster.backend.cancel(ref)
    await cluster.backend.cancel(ref)
    outcome = (await cluster.ended(ref)).outcome
    assert outcome is not None
    assert outcome.result is Result.CANCELLED


async def test_exit_code_and_signal(cluster: Cluster) -> None:
    failed, killed = await cluster.submit("exit 3"), await cluster.submit("kill -9 $$")
    outcome = (await cluster.ended(failed)).outcome
    assert outcome is not None
    assert (outcome.result, outcome.reason, outcome.exit_code) == (Result.FAILED, Reason.EXIT_CODE, 3)
    outcome = (await cluster.ended(killed)).outcome
    assert outcome is not None
    assert (outcome.result, outcome.signal) == (Result.FAILED, 9)


async def test_requeued_job_finishes_once(cluster: Cluster) -> None:
    ref = await cluster.submit(ONCE_THEN_AGAIN)
    await cluster.running(ref)
    cluster.site.run("scontrol", "requeue", ref.id)
    await cluster.until(ref, lambda status: status.phase is Phase.QUEUED and status.restarts == 1)
    cluster.start_now(ref)
    status = await cluster.ended(ref)
    log = await cluster.log(ref.handle)
    assert status.outcome is not None
    assert status.outcome.result is Result.FINISHED, log
    assert status.restarts == 1
    assert log.count("start ") == 2, "the log is appended to"


async def test_preempted_job_is_requeued_or_ends(cluster: Cluster) -> None:
    again = await cluster.submit(ONCE_THEN_AGAIN, resources={"Queue": "requeue", "MemoryPerNode": "1G"})
    gone = await cluster.submit("sleep 300", resources={"Queue": "scavenge", "MemoryPerNode": "1G"})
    await cluster.running(again)
    await cluster.running(gone)
    # Both lie on the one node of their queues; this job wants all of its CPUs.
    node = (await cluster.status(again)).nodes
    whole = ("sbatch", "--parsable", "-p", "batch", "-w", node, "--exclusive", "-D", "/", "-o", "/dev/null")
    other = cluster.site.run(*whole, "--wrap=sleep 1", user=cluster.site.user).strip()
    outcome = (await cluster.ended(gone)).outcome
    assert outcome is not None
    assert (outcome.result, outcome.reason) == (Result.FAILED, Reason.PREEMPTED)
    await cluster.until(again, lambda status: status.phase is Phase.QUEUED and status.restarts == 1)
    cluster.start_now(again)
    status = await cluster.ended(again)
    assert status.outcome is not None
    assert (status.outcome.result, status.restarts) == (Result.FINISHED, 1)
    cluster.site.run("scancel", other)


async def test_time_limit(cluster: Cluster) -> None:
    ref = await cluster.submit("sleep 300")
    await cluster.running(ref)
    cluster.site.run("scontrol", "update", f"jobid={ref.id}", "endtime=now+1")
    outcome = (await cluster.ended(ref, 90)).outcome  # Slurm looks every 30 s
    assert outcome is not None
    assert (outcome.result, outcome.reason) == (Result.FAILED, Reason.TIME_LIMIT)


async def test_node_failure(cluster: Cluster) -> None:
    ref = await cluster.submit("sleep 300")
    status = await cluster.running(ref)
    cluster.site.run("scontrol", "update", f"jobid={ref.id}", "requeue=0")
    cluster.site.run("scontrol", "update", f"nodename={status.nodes}", "state=down", "reason=test")
    try:
        outcome = (await cluster.ended(ref)).outcome
    finally:
        cluster.site.run("scontrol", "update", f"nodename={status.nodes}", "state=idle")
    assert outcome is not None
    assert (outcome.result, outcome.reason) == (Result.FAILED, Reason.NODE_FAILURE)


async def test_srun_on_two_nodes_sees_variable_secret_and_module(cluster: Cluster) -> None:
    # Lmod comes to batch jobs in the same way: BASH_ENV defines `module`.
    home = Path(cluster.site.directory) / "home" / cluster.site.user
    (home / "modules.sh").write_text('module() { export MODULE_PATH="$MODULE_PATH:/sw/$2"; }\n')
    (home / "modules.sh").chmod(0o644)
    (home / ".bash_profile").write_text(f"export BASH_ENV={home}/modules.sh\n")
    (home / ".bash_profile").chmod(0o644)
    try:
        ref = await cluster.submit(
            """srun bash -c 'echo "$SLURMD_NODENAME $COLOUR $TOKEN $MODULE_PATH"'""",
            resources={"Nodes": 2, "TasksPerNode": 1},
            environment={"Variables": {"COLOUR": "$(echo blue) sky"}, "Modules": ["gcc/12", "cuda"]},
            secrets={"TOKEN": "it's $ecret"},
        )
        outcome = (await cluster.ended(ref)).outcome
    finally:
        (home / ".bash_profile").unlink()
        (home / "modules.sh").unlink()
    log = await cluster.log(ref.handle)
    assert outcome is not None
    assert outcome.result is Result.FINISHED, log
    seen = sorted(line for line in log.splitlines() if "blue" in line)
    assert len(seen) == 2
    assert seen[0].split()[0] != seen[1].split()[0], "two nodes"
    assert all(line.split(" ", 1)[1] == "blue sky it's $ecret :/sw/gcc/12:/sw/cuda" for line in seen)
    stored = cluster.site.run("sacct", "-j", ref.id, "-B") + cluster.site.run("sacct", "-j", ref.id, "--env-vars")
    assert "$ecret" not in stored, "script and environment of the job land in the accounting database"


async def test_apptainer_command_line(cluster: Cluster) -> None:
    """Apptainer is not in Debian 12: a stand-in records the words that it is called with."""
    tools = Path(cluster.site.directory) / "home" / cluster.site.user / "tools"
    tools.mkdir()
    (tools / "apptainer").write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    image = tools / "my image.sif"
    image.touch()
    tools.chmod(0o755)
    (tools / "apptainer").chmod(0o755)
    try:
        ref = await cluster.submit(
            "python train.py --name 'a b'",
            environment={
                "Apptainer": {"Path": str(image), "Type": "remote", "Options": ["--nv", "-B", "/data:/d"]},
                "PreRunCommandOnComputeNode": [f"export PATH={tools}:$PATH"],
            },
        )
        status = await cluster.ended(ref)
    finally:
        shutil.rmtree(tools)
    log = await cluster.log(ref.handle)
    assert status.outcome is not None
    assert status.outcome.result is Result.FINISHED, log
    assert f"<run><--nv><-B></data:/d><{image}><python><train.py><--name><a b>" in log


async def copies(cluster: Cluster, location: str, many: int) -> list[str]:
    """The same attempt, submitted by hand."""
    submit = ("env", f"--chdir={location}", "sbatch", "--parsable", "job.sh")
    return [cluster.site.run(*submit, user=cluster.site.user).strip() for _ in range(many)]


async def test_of_two_copies_one_runs(cluster: Cluster) -> None:
    handle = await cluster.prepare("echo ran >>../outputs/count; sleep 1")
    first, second = await copies(cluster, handle.location, 2)
    refs = [JobRef(first, handle), JobRef(second, handle)]
    statuses = [await cluster.ended(ref) for ref in refs]
    assert await cluster.backend.read(handle, "outputs/count", 0, 100, "run") == b"ran\n"
    passed = statuses[0].fence
    assert passed in (first, second)
    assert statuses[1].fence == passed
    codes = cluster.site.run("sacct", "-X", "-n", "-P", "-j", f"{first},{second}", "-o", "jobid,exitcode").split()
    other = second if passed == first else first
    assert f"{other}|{DUPLICATE_EXIT_CODE}:0" in codes
    assert f"{passed}|0:0" in codes


async def test_no_copy_runs_after_the_fence_was_seized(cluster: Cluster) -> None:
    handle = await cluster.prepare("echo ran >>../outputs/count")
    assert isinstance(await cluster.backend.revoke(handle), Revoked)
    (job_id,) = await copies(cluster, handle.location, 1)
    await cluster.ended(JobRef(job_id, handle))
    assert await cluster.backend.list(handle, "outputs", "run") == []
    codes = cluster.site.run("sacct", "-X", "-n", "-P", "-j", job_id, "-o", "exitcode").split()
    assert codes == [f"{REVOKED_EXIT_CODE}:0"]


async def test_found_by_its_tag_live_and_ended(cluster: Cluster) -> None:
    ref = await cluster.submit("sleep 300")
    found = await cluster.backend.find(ref.handle.tag)
    assert (found.refs, found.conclusive) == ((ref,), True)
    await cluster.backend.cancel(ref)
    await cluster.ended(ref)
    assert (await cluster.backend.find(ref.handle.tag)).refs == (ref,)
    nothing = await cluster.backend.find("mantik-nosuch-1")
    assert (nothing.refs, nothing.conclusive) == ((), True)


async def test_fifty_jobs_are_one_squeue_and_one_sacct(cluster: Cluster) -> None:
    live, done = await cluster.submit("sleep 300"), await cluster.submit("true")
    await cluster.ended(done)
    unknown = [JobRef(str(60_000_000 + n), live.handle) for n in range(48)]
    cluster.shell.commands.clear()
    statuses = await cluster.backend.poll([live, done, *unknown])
    assert (cluster.shell.count("squeue"), cluster.shell.count("sacct")) == (1, 1)
    assert len(cluster.shell.commands) <= 3, cluster.shell.commands
    assert len(statuses) == 50
    assert statuses[live].phase in (Phase.QUEUED, Phase.RUNNING)
    assert statuses[done].phase is Phase.ENDED
    await cluster.backend.cancel(live)


async def test_runs_of_one_moment_share_their_commands(cluster: Cluster) -> None:
    await cluster.backend.stage(cluster.code)
    cluster.shell.commands.clear()
    refs = await asyncio.gather(*(cluster.submit("true", resources={"Nodes": 9}) for _ in range(12)))
    assert len({ref.id for ref in refs}) == 12
    verbs = [command[0] for command in cluster.shell.commands]
    assert (verbs.count("layout"), verbs.count("start")) == (1, 1)
    for ref in refs:
        stored = cluster.site.run("squeue", "-h", "-j", ref.id, "-o", "%j").strip()
        assert stored == ref.handle.tag, "each caller has its own job"
        await cluster.backend.cancel(ref)
