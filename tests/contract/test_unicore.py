"""The contract over real UNICORE/X servers of both versions, reached over HTTPS."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from backends.backend import CredentialSource
from backends.contract import HostCase
from backends.contract.suite import *  # noqa: F403
from backends.spec import Credential, Handle
from backends.unicore import kind
from tests.backends.slurm.ssh.credentials import Credentials
from tests.site_fixtures import UnicoreSite

pytestmark = pytest.mark.unicore


class UnicoreCase(HostCase):
    """The jobs' directories lie on this machine; the server and its jobs run as `nobody` when we are root."""

    kind = kind
    patience = 60.0
    account = "proj1"

    def __init__(self, folder: Path, server: UnicoreSite) -> None:
        super().__init__(folder)
        self.server = server
        options = {"tlsCa": Path(server.ca).read_text()}
        self.site = server.site(options=options, work_directory=f"{server.scratch}/{folder.name}")

    def config(self, environment: Mapping[str, object]) -> Mapping[str, object]:
        return {
            "UnicoreApiUrl": self.server.url,
            "Resources": {"Queue": "batch", "Runtime": "10m"},
            "Environment": environment,
        }

    def credentials(self) -> CredentialSource:
        return Credentials(Credential(1, "password", self.server.user, self.server.password))

    def directory(self, handle: Handle) -> Path:
        return Path(self.server.jobs, handle.location.rpartition("/")[2])

    async def release(self, handle: Handle, name: str) -> None:
        """The job makes the directory when it begins."""
        outputs = self.directory(handle) / "outputs"
        async with asyncio.timeout(self.patience):
            while True:
                if outputs.is_dir():
                    break
                await asyncio.sleep(0.05)
        outputs.joinpath(name).touch()

    async def copies(self, handle: Handle, count: int) -> Sequence[int]:
        """As the server's account, past the server."""
        user = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups") if os.getuid() == 0 else ()
        jobs = [
            await asyncio.create_subprocess_exec(
                *(*user, "bash", "job.sh"), cwd=self.directory(handle), env=self.surroundings()
            )
            for _ in range(count)
        ]
        return [await job.wait() for job in jobs]

    def surroundings(self) -> Mapping[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": self.server.directory}


@pytest.fixture
async def backend_case(tmp_path: Path, unicore_site: UnicoreSite) -> AsyncIterator[UnicoreCase]:
    case = UnicoreCase(tmp_path, unicore_site)
    yield case
    shutil.rmtree(Path(unicore_site.scratch, tmp_path.name), ignore_errors=True)
