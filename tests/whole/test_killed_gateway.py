"""kill -9 of the gateway at any time, and a restart: one job, and the run ends as it should."""

import time
from pathlib import Path

import pytest

from tests.site_fixtures import SlurmSite
from tests.whole.conftest import Lab
from tests.whole.gateway_process import running, wait_for
from tests.whole.workshop import MLPROJECT, Workshop, make_repository


@pytest.fixture
def on(database_url: str) -> dict[str, str]:
    """Settings of a gateway on each kind of database."""
    # A tracking server that is not there: what a kill may break is between gateway and site.
    return {
        "MANTIK_TRACKING_URI": "http://127.0.0.1:9",
        "MANTIK_TRACKING_TIMEOUT_SECONDS": "0.2",
        "MANTIK_LEASE_SECONDS": "3",
        "MANTIK_DATABASE_URL": database_url,
    }


@pytest.mark.slurm
@pytest.mark.timeout(400)
def test_killed_at_any_moment(slurm_site: SlurmSite, folder: Path, tmp_path: Path, on: dict[str, str]) -> None:
    """The code appends to a marker each time it runs; each run is killed a little later than the one before."""
    markers = Path(slurm_site.scratch) / "alice"
    name = f"killed-{tmp_path.name}"
    with running(folder / name, tracking=False, **on) as gateway:
        workshop = Workshop(gateway, make_repository(folder / f"{name}-code", {"MLproject": MLPROJECT}))
        site = workshop.add_site("lab", slurm_site)
        lab = Lab(workshop, slurm_site, site, workshop.connect("lab", site, slurm_site.private_key))
        runs = []
        for n in range(8):
            marker = markers / f"marker-{folder.name}-{name}-{n}"
            run_id = lab.submit(entryPoint="marks", mlflowParameters={"marker": str(marker)})
            time.sleep(0.12 * n)  # the moment of the kill is the point of this test
            gateway.kill()
            gateway.start(tracking=False)
            runs.append((run_id, marker))
        for run_id, marker in runs:
            run = workshop.ended(run_id, seconds=150)
            assert run["state"] == "FINISHED", workshop.story(run_id)
            assert marker.read_text() == "ran\n", workshop.story(run_id)
            assert len(lab.billed(run_id)) == 1, workshop.story(run_id)
            assert workshop.log(run_id) == b"done\n"


@pytest.mark.slurm
def test_killed_while_the_job_runs(lab: Lab) -> None:
    gateway = lab.workshop.gateway
    run_id = lab.submit(entryPoint="waits")
    local = lab.workshop.submit(entryPoint="waits", connectionId=lab.workshop.local())
    runs = [lab.workshop.until(r, "RUNNING") for r in (run_id, local)]
    gateway.kill()
    for run in runs:
        go = Path(run["workDirectory"]).parent / "outputs" / "go"
        wait_for(lambda go=go: go.parent.is_dir(), 10)
        go.touch()
    gateway.start()
    for run in runs:
        assert lab.workshop.ended(run["runId"])["state"] == "FINISHED"
        assert lab.workshop.log(run["runId"]) == b"waiting\nwent on\n", lab.workshop.story(run["runId"])
    assert len(lab.billed(run_id)) == 1
