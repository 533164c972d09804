"""What a cluster does to jobs: each ends in the state and with the reason that its site gives."""

from collections.abc import Callable
from contextlib import suppress
from subprocess import CalledProcessError

import pytest

from tests.whole.faults.own_site import OwnSite
from tests.whole.gateway_process import wait_for
from tests.whole.workshop import Workshop

pytestmark = pytest.mark.slurm
SLEEPS = {"entryPoint": "waits"}
WHOLE_NODE = {"CPUsPerTask": 32}


def test_ends_that_the_site_makes(centre: OwnSite, faults: Workshop) -> None:
    """Killed, out of the queue, over its time, without its node: several jobs at once."""
    runs = {
        "script killed": centre.submit(entryPoint="killed"),
        "command killed": centre.submit(entryPoint="kills_itself"),
        "cancelled": centre.submit(**SLEEPS),
        "time": centre.submit(**SLEEPS, resources={"Runtime": "1m"}),
        "node": centre.submit(**SLEEPS, resources=WHOLE_NODE),
    }
    jobs = {name: centre.job(runs[name]) for name in ("cancelled", "time", "node")}
    for name in jobs:
        faults.until(runs[name], "RUNNING")
    centre.slurm("scontrol", "update", f"jobid={jobs['time']}", "endtime=now+1")
    centre.slurm("scancel", jobs["cancelled"])
    # All of the node is ours, so nobody else's job goes with it.
    centre.slurm("scontrol", "update", f"jobid={jobs['node']}", "requeue=0")
    lose_node(centre, jobs["node"])
    told = {}
    for name, run_id in runs.items():
        run = faults.ended(run_id, seconds=90)
        told[name] = (run["state"], run["reason"], run["message"])
        assert run["experimentRepositoryId"] == faults.experiment
    assert told == {
        "script killed": ("FAILED", "EXIT_CODE", "The command ended with signal 9; the log says why."),
        "command killed": ("FAILED", "EXIT_CODE", "The command ended with code 137; the log says why."),
        "cancelled": ("CANCELLED", "CANCELLED_ON_SITE", "The job was cancelled on the site."),
        "time": ("FAILED", "TIME_LIMIT", "The job reached its time limit; raise Resources.Runtime."),
        "node": ("FAILED", "NODE_FAILURE", "A node of the job failed; submit it again."),
    }
    for name in ("script killed", "command killed"):
        assert faults.log(runs[name]).startswith(b"about to die\n")
    assert faults.log(runs["time"]).startswith(b"waiting\n")


def test_requeued(centre: OwnSite, faults: Workshop) -> None:
    """By an operator, and for a lost node: the run goes back to the queue, and its log goes on."""
    runs = [centre.submit(**SLEEPS), centre.submit(**SLEEPS, resources=WHOLE_NODE)]
    jobs = [centre.job(run_id) for run_id in runs]
    for run_id in runs:
        faults.until(run_id, "RUNNING")
        logged(faults, run_id, b"waiting\n")
    centre.slurm("scontrol", "requeue", jobs[0])
    lose_node(centre, jobs[1])
    for run_id, job in zip(runs, jobs, strict=True):
        wait_for(lambda run_id=run_id: "QUEUED" in states(faults, run_id)[1:], 30, explain(faults, run_id))
        # Slurm lets a requeued job wait for minutes; an operator may not. Within the second of the requeue its daemon
        # takes the job for one already killed, and it ends with code 1 before it begins.
        centre.slurm("scontrol", "update", f"jobid={job}", "starttime=now+2")
        faults.until(run_id, "RUNNING")
        centre.go(run_id)
    for run_id, job in zip(runs, jobs, strict=True):
        run = faults.ended(run_id)
        assert (run["state"], run["job"]["siteJobId"], run["job"]["restarts"]) == ("FINISHED", job, 1)
        assert faults.log(run_id).endswith(b"waiting\nwent on\n")
        assert "restart 1" in faults.story(run_id)


def test_account_used_up_and_cancelled_while_pending(centre: OwnSite, faults: Workshop) -> None:
    spend(centre, faults)
    run_id = centre.submit(computeBudgetAccount="tiny")
    why = wait_for(lambda: faults.conditions(run_id).get("PENDING_REASON"), 30, explain(faults, run_id))
    assert why == "AssocGrpCPUMinutesLimit"
    assert faults.run(run_id)["state"] == "QUEUED"
    centre.slurm("scancel", centre.job(run_id))
    run = faults.ended(run_id)
    assert (run["state"], run["reason"]) == ("CANCELLED", "CANCELLED_ON_SITE"), faults.story(run_id)
    assert "PENDING_REASON" not in faults.conditions(run_id)


def spend(centre: OwnSite, faults: Workshop) -> None:
    """Use up the CPU minute of the account, once for the life of the cluster."""
    shown = centre.slurm("scontrol", "show", "assoc_mgr", "flags=assoc", "accounts=tiny")
    if "GrpTRESMins=cpu=1(0)" not in shown:
        return
    burning = centre.submit(entryPoint="naps", computeBudgetAccount="tiny", resources=WHOLE_NODE)
    assert faults.ended(burning)["state"] == "FINISHED"
    wait_for(
        lambda: (
            "GrpTRESMins=cpu=1(0)" not in centre.slurm("scontrol", "show", "assoc_mgr", "flags=assoc", "accounts=tiny")
        ),
        90,
    )


def lose_node(centre: OwnSite, job: str) -> None:
    """The node of a job that fills it goes down, and comes back."""
    node = centre.slurm("squeue", "-h", "-j", job, "-o", "%N").strip()
    others = centre.slurm("squeue", "-h", "-w", node, "-o", "%i").split()
    assert others == [job], f"{node} has other jobs: {others}"
    centre.slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        wait_for(lambda: centre.slurm("squeue", "-h", "-t", "R,CG", "-j", job, "-o", "%i") == "", 20)
    finally:
        wait_for(lambda: back(centre, node), 30)


def back(centre: OwnSite, node: str) -> bool:
    """Its daemon may have brought it back already; then there is nothing to resume."""
    if "down" in centre.slurm("sinfo", "-h", "-n", node, "-p", "batch", "-o", "%T"):
        with suppress(CalledProcessError):
            centre.slurm("scontrol", "update", f"nodename={node}", "state=resume")
        return False
    return True


def states(faults: Workshop, run_id: str) -> list[str]:
    """Those since the job is on the site."""
    events = faults.gateway.call("GET", faults.path("runs", run_id, "events"))["items"]
    found = [str(e["toState"]) for e in events if e["kind"] == "state"]
    return found[found.index("QUEUED") :] if "QUEUED" in found else []


def logged(faults: Workshop, run_id: str, words: bytes) -> None:
    wait_for(lambda: words in faults.log(run_id), 30, explain(faults, run_id))


def explain(faults: Workshop, run_id: str) -> Callable[[], str]:
    return lambda: faults.story(run_id)
