"""Jobs that the site forgot, and directories that a purge took away."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site_fixtures import SlurmSite
from tests.whole.faults.conftest import GRACE
from tests.whole.faults.own_site import Hiding, OwnSite, closed_queue, own_site
from tests.whole.gateway_process import wait_for
from tests.whole.workshop import Workshop

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def hiding(folder: Path) -> Hiding:
    return Hiding(folder / "hiding")


@pytest.fixture(scope="module")
def forgetful(faults: Workshop, slurm_site: SlurmSite, hiding: Hiding) -> Iterator[OwnSite]:
    """A site whose queue and accounting may forget a job."""
    with own_site(faults, slurm_site, "forgetful", environment={"PATH": hiding.path}) as site:
        yield site


def test_forgotten(forgetful: OwnSite, hiding: Hiding, faults: Workshop) -> None:
    """One runs, one waits: both are LOST after the grace, and the one that waited can never run again."""
    with closed_queue(forgetful.there) as queue:
        forgetful.check()
        running = forgetful.submit(entryPoint="waits")
        waiting = forgetful.submit(resources={"Queue": queue})
        faults.until(running, "RUNNING")
        jobs = {run_id: forgetful.job(run_id) for run_id in (running, waiting)}
        hiding.hide(*jobs.values())
        for run_id, job in jobs.items():
            said = wait_for(
                lambda run_id=run_id: faults.conditions(run_id).get("JOB_MISSING"),
                30,
                lambda run_id=run_id: faults.story(run_id),
            )
            assert said == f"The site no longer knows job {job} and there is no evidence of its end yet."
        told = {run_id: faults.ended(run_id) for run_id in jobs}
        assert {(run["state"], run["reason"]) for run in told.values()} == {("FAILED", "LOST")}
        assert told[running]["message"] == (
            f"Job {jobs[running]} started and vanished from the site without a trace of its end."
        )
        assert told[waiting]["message"] == (
            f"Job {jobs[waiting]} vanished from the site before it started. It was not submitted again."
        )
        assert faults.log(running) == b"waiting\n"
        assert all("JOB_MISSING" not in faults.conditions(run_id) for run_id in jobs)
        # The site had it all the time: the copy that starts late touches nothing.
        attempt = Path(told[waiting]["workDirectory"])
        assert {path.name for path in attempt.glob("fence.*")} == {"fence.revoked"}
        forgetful.slurm("scontrol", "update", f"partitionname={queue}", "state=up")
        wait_for(lambda: forgetful.slurm("squeue", "-h", "-p", queue, "-t", "PD,R,CG", "-o", "%i") == "", 30)
        assert (attempt / "mantik.log").read_bytes() == b""
        assert not (attempt / "exit.part").exists()
        hiding.show_all()
        forgetful.slurm("scancel", jobs[running])


def test_forgotten_for_a_moment(forgetful: OwnSite, hiding: Hiding, faults: Workshop) -> None:
    run_id = forgetful.submit(entryPoint="waits")
    faults.until(run_id, "RUNNING")
    hiding.hide(forgetful.job(run_id))
    wait_for(lambda: "JOB_MISSING" in faults.conditions(run_id), 30, lambda: faults.story(run_id))
    hiding.show_all()
    wait_for(lambda: "JOB_MISSING" not in faults.conditions(run_id), 30, lambda: faults.story(run_id))
    forgetful.go(run_id)
    assert faults.ended(run_id)["state"] == "FINISHED", faults.story(run_id)


def test_an_outage_is_no_absence(forgetful: OwnSite, hiding: Hiding, faults: Workshop) -> None:
    """The grace counts from when the site was there and did not know the job, not from when it was away."""
    run_id = forgetful.submit(entryPoint="waits")
    faults.until(run_id, "RUNNING")
    job = forgetful.job(run_id)
    forgetful.sshd.stop()
    wait_for(lambda: "LOST_CONTACT" in faults.conditions(run_id), 30, lambda: faults.story(run_id))
    longer = time.monotonic() + GRACE + 1
    wait_for(lambda: time.monotonic() > longer, GRACE + 5)  # an outage that is longer than the grace is the point
    hiding.hide(job)
    forgetful.sshd.start()
    wait_for(lambda: "JOB_MISSING" in faults.conditions(run_id), 30, lambda: faults.story(run_id))
    hiding.show_all()
    forgetful.go(run_id)
    assert faults.ended(run_id)["state"] == "FINISHED", faults.story(run_id)


def test_directory_purged(centre: OwnSite, faults: Workshop) -> None:
    """While a job runs that ends well, while one runs that is cancelled, and after the end."""
    naps, waits, ended = (centre.submit(entryPoint=name) for name in ("naps", "waits", "main"))
    directories = {}
    for run_id in (naps, waits):
        directory = Path(faults.until(run_id, "RUNNING")["workDirectory"])
        wait_for(lambda run_id=run_id: faults.log(run_id), 30, lambda run_id=run_id: faults.story(run_id))
        shutil.rmtree(directory.parent)
        directories[run_id] = directory
    run = faults.ended(naps)
    assert (run["state"], run["exitCode"]) == ("FINISHED", 0), faults.story(naps)
    assert faults.conditions(naps)["FILES_GONE"].startswith("The run's directory is gone")
    assert faults.log(naps) == b"asleep\n"

    faults.gateway.call("POST", faults.path("runs", waits, "cancel"))
    run = faults.ended(waits)
    assert (run["state"], run["reason"]) == ("CANCELLED", "CANCELLED_BY_USER"), faults.story(waits)
    assert "FILES_GONE" in faults.conditions(waits)

    run = faults.ended(ended)
    shutil.rmtree(Path(run["workDirectory"]).parent)
    assert faults.log(ended) == b"hello\n"
    assert faults.run(ended)["script"] == run["script"]
    path = faults.path("runs", ended)
    assert faults.gateway.http.delete(path, params={"siteDirectory": True}).status_code == 204
    wait_for(lambda: faults.gateway.http.get(path).status_code == 404, 30)
    assert "Traceback" not in faults.gateway.log.read_text()
