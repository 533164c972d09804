"""Fixtures of the whole way."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site_fixtures import SlurmSite
from tests.whole.gateway_process import GatewayProcess, running, wait_for
from tests.whole.workshop import MLPROJECT, Workshop, make_repository

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "digits"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Not below /tmp, which the cluster's users may be unable to enter."""
    path = Path(tempfile.mkdtemp(prefix="mantik-tests-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def on(database_url: str) -> dict[str, str]:
    """Settings of a gateway on each kind of database, without tracking."""
    return {
        "MANTIK_TRACKING_URI": "http://127.0.0.1:9",
        "MANTIK_TRACKING_TIMEOUT_SECONDS": "0.2",
        "MANTIK_LEASE_SECONDS": "3",
        "MANTIK_LOCAL_OPEN": "true",
        "MANTIK_SECRET_KEYS": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
        "MANTIK_DATABASE_URL": database_url,
    }


@pytest.fixture(scope="session")
def gateway(folder: Path) -> Iterator[GatewayProcess]:
    with running(folder / "gateway") as process:
        yield process


@pytest.fixture(scope="session")
def workshop(gateway: GatewayProcess, folder: Path) -> Workshop:
    config = "SSH:\n  Hostname: elsewhere.example.org\nResources:\n  Queue: batch\n"
    files = {"MLproject": MLPROJECT, "elsewhere.yaml": config, "broken.yaml": "Resources: [\n"}
    return Workshop(gateway, make_repository(folder / "probe", files))


@pytest.fixture(scope="session")
def lab(workshop: Workshop, slurm_site: SlurmSite) -> "Lab":
    site = workshop.add_site("lab", slurm_site)
    return Lab(workshop, slurm_site, site, workshop.connect("lab", site, slurm_site.private_key))


class Lab:
    """The workshop with a connection to the real Slurm."""

    def __init__(self, workshop: Workshop, there: SlurmSite, site: str, connection: str) -> None:
        self.workshop = workshop
        self.there = there
        self.site = site
        self.connection = connection

    def config(self, **resources: object) -> dict[str, object]:
        asked = {"Queue": "batch", "Runtime": "5m", "TasksPerNode": 1} | resources
        return {"SSH": {"Hostname": self.there.ssh_host, "Port": self.there.ssh_port}, "Resources": asked}

    def submit(self, **changes: object) -> str:
        wanted = {"connectionId": self.connection, "computeBudgetAccount": "budget-a", "backendConfig": self.config()}
        return self.workshop.submit(**(wanted | changes))

    def billed(self, run_id: str) -> list[list[str]]:
        """As `jobs`, once accounting knows the names: for some seconds it says `allocation`."""
        found: list[list[str]] = wait_for(lambda: self.jobs(run_id), 30)
        return found

    def jobs(self, run_id: str) -> list[list[str]]:
        """Every job of a run in the accounting: id, account, state, exit code."""
        rows = self.there.run(
            *("sacct", "-X", "-P", "-n", "-a", "-S", "now-1days", "-o", "jobid,account,state,exitcode,jobname%80")
        )
        return [row.split("|") for row in rows.splitlines() if f"mantik-{run_id}-" in row]
