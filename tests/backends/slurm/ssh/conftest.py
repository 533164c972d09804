"""A real sshd per test, for a user of the site."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from backends.slurm.ssh.shell import SshShell
from backends.spec import Credential, Site
from tests.backends.slurm.ssh.credentials import Credentials
from tests.backends.slurm.ssh.entry import ENTRY
from tests.backends.slurm.ssh.sshd import Sshd
from tests.site_fixtures import SlurmSite


@pytest.fixture
def start_sshd(slurm_site: SlurmSite) -> Iterator[Callable[..., Sshd]]:
    started: list[Sshd] = []

    def start(*options: str, key_options: str = "") -> Sshd:
        environment = {"SLURM_CONF": slurm_site.slurm_conf, "SCRATCH": slurm_site.scratch}
        sshd = Sshd(slurm_site.user, environment, options, key_options)
        started.append(sshd)
        sshd.start()
        return sshd

    yield start
    for sshd in started:
        sshd.close()


@pytest.fixture
def sshd(start_sshd: Callable[..., Sshd]) -> Sshd:
    return start_sshd()


@pytest.fixture
async def shell_on() -> AsyncIterator[Callable[[Site, Credential], SshShell]]:
    opened: list[SshShell] = []

    def make(site: Site, credential: Credential) -> SshShell:
        opened.append(SshShell(site, Credentials(credential), ENTRY))
        return opened[-1]

    yield make
    for shell in opened:
        await shell.aclose()
