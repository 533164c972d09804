"""Fixtures that start the real servers by the project's own scripts; a server that was up before stays up."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from backends.spec import Site

SITES = Path(__file__).parent / "sites"
LOCKS = Path("/var/tmp")  # noqa: S108  beside the sites' own state, whoever runs the tests


@dataclass(frozen=True, slots=True)
class SlurmSite:
    """The settings that `tests/sites/slurm env` prints."""

    ssh_host: str
    ssh_port: int
    ssh_one_port: int
    user: str
    private_key: str
    wrong_key: str
    host_keys: list[str]
    scratch: str
    slurm_conf: str
    sshd_log: str
    directory: str

    def site(self, **changes: object) -> Site:
        """As an operator would write it down."""
        values: dict[str, object] = {
            "id": "slurm",
            "name": "slurm",
            "kind": "slurm",
            "host": self.ssh_host,
            "port": self.ssh_port,
            "host_keys": tuple(self.host_keys),
            "work_directory": "$SCRATCH/$USER/mantik",
        }
        return Site(**(values | changes))  # type: ignore[arg-type]

    def run(self, *argv: str, user: str = "root") -> str:
        """A command on the cluster's machine, as root or as one of its users."""
        environment = {"SLURM_CONF": self.slurm_conf, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        as_user = [] if user == "root" else ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        done = subprocess.run([*as_user, *argv], env=environment, capture_output=True, text=True, check=True)
        return done.stdout


def _up(name: str) -> str:
    with FileLock(LOCKS / f"mantik-sites-{name}.lock"):
        done = subprocess.run([SITES / name, "up"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"tests/sites/{name} up failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


@pytest.fixture(scope="session")
def slurm_site() -> SlurmSite:
    """A running Slurm cluster; `make test` takes it down at its end."""
    return SlurmSite(**json.loads(_up("slurm")))


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """URL of a running PostgreSQL, whose user may create databases."""
    return _up("postgres").strip().splitlines()[-1]
