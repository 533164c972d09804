"""The contract over a real Slurm, reached over a real sshd; once also where the sshd allows one session at a time."""

import asyncio
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from backends.backend import CredentialSource
from backends.contract import HostCase
from backends.contract.suite import *  # noqa: F403
from backends.slurm import kind
from backends.spec import Credential, Handle
from tests.backends.slurm.ssh.credentials import Credentials
from tests.site_fixtures import SlurmSite

pytestmark = pytest.mark.slurm


class SlurmCase(HostCase):
    kind = kind
    patience = 60.0
    account = "budget-a"

    def __init__(self, folder: Path, cluster: SlurmSite, work: str) -> None:
        super().__init__(folder)
        self.cluster = cluster
        self.site = cluster.site(work_directory=f"$SCRATCH/$USER/{work}")
        self._key = Path(cluster.private_key).read_text()

    def config(self, environment: Mapping[str, object]) -> Mapping[str, object]:
        return {
            "SSH": {"Hostname": self.cluster.ssh_host},
            "Resources": {"Queue": "batch", "Runtime": "10m"},
            "Environment": environment,
        }

    def credentials(self) -> CredentialSource:
        return Credentials(Credential(1, "ssh-key", self.cluster.user, self._key))

    async def copies(self, handle: Handle, count: int) -> Sequence[int]:
        """Submitted by hand, past `start`; `--wait` ends with the exit code of the job."""
        submit = ("sbatch", "--wait", "--parsable", "job.sh")
        user = ("setpriv", "--reuid", self.cluster.user, "--regid", self.cluster.user, "--init-groups")
        environment = {"SLURM_CONF": self.cluster.slurm_conf, "PATH": "/usr/bin:/bin"}
        jobs = [
            await asyncio.create_subprocess_exec(
                *(*user, *submit), cwd=handle.location, env=environment, stdout=asyncio.subprocess.DEVNULL
            )
            for _ in range(count)
        ]
        return [await job.wait() for job in jobs]


@pytest.fixture
def backend_case(tmp_path: Path, slurm_site: SlurmSite) -> Iterator[SlurmCase]:
    work = f"contract-{uuid.uuid4().hex[:8]}"
    yield SlurmCase(tmp_path, slurm_site, work)
    shutil.rmtree(Path(slurm_site.scratch) / slurm_site.user / work, ignore_errors=True)


async def test_one_session_at_a_time_is_enough(backend_case: SlurmCase) -> None:
    backend_case.site = backend_case.cluster.site(
        port=backend_case.cluster.ssh_one_port, work_directory=backend_case.site.work_directory
    )
    async with backend_case.open() as backend:
        statuses = await asyncio.gather(*(backend_case.ended(backend) for _ in range(4)))
        assert all(status.outcome and status.outcome.exit_code == 0 for status in statuses)
        assert {status.account for status in statuses} == {"budget-a"}
