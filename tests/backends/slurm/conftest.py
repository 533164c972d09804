"""A backend over the real cluster, on its own work directory."""

import shutil
import uuid
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest

from backends.slurm.backend import SlurmBackend
from backends.slurm.scheduler import SlurmScheduler
from backends.slurm.ssh.shell import SshShell
from backends.spec import Credential
from tests.backends.slurm.cluster import Cluster, RecordingShell, code_bundle
from tests.backends.slurm.ssh.credentials import Credentials
from tests.site_fixtures import SlurmSite


@pytest.fixture
async def cluster(slurm_site: SlurmSite, tmp_path: Path) -> AsyncIterator[Cluster]:
    name = f"mantik-{uuid.uuid4().hex[:8]}"
    site = slurm_site.site(work_directory=f"$SCRATCH/$USER/{name}")
    key = Credential(1, "ssh-key", slurm_site.user, Path(slurm_site.private_key).read_text())
    entry = files("backends.host").joinpath("entry.sh").read_bytes()
    shell = RecordingShell(SshShell(site, Credentials(key), entry))
    backend = SlurmBackend(shell, SlurmScheduler(), site)
    await backend.check()
    yield Cluster(slurm_site, backend, shell, code_bundle(tmp_path))
    await backend.aclose()
    shutil.rmtree(Path(slurm_site.scratch) / slurm_site.user / name, ignore_errors=True)
