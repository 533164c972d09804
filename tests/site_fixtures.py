"""Fixtures that start the real servers by the project's own scripts.

A server that was up before stays up; one that tests started goes down with the last session that uses it, in
whatever process or clone that is.
"""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from backends.spec import Site

SITES = Path(__file__).parent / "sites"
STATE = Path(os.environ.get("SITES_DIR", "/var/tmp/mantik-sites"))


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
    partitions: list[str]
    accounts: list[str]
    scratch: str
    user_scratch: str
    slurm_conf: str
    sshd_config: str
    sshd_log: str
    rest_url: str
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
        as_root = (
            [] if os.geteuid() == 0 else ["sudo", "-n", *(f"{name}={value}" for name, value in environment.items())]
        )
        as_user = [] if user == "root" else ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        done = subprocess.run([*as_root, *as_user, *argv], env=environment, capture_output=True, text=True, check=True)
        return done.stdout


@pytest.fixture(scope="session")
def slurm_site() -> Iterator[SlurmSite]:
    """A running Slurm cluster."""
    with running("slurm") as settings:
        known = {field.name for field in fields(SlurmSite)}
        yield SlurmSite(**{name: value for name, value in json.loads(settings).items() if name in known})


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a running PostgreSQL, whose user may create databases."""
    with running("postgres") as settings:
        yield settings.strip().splitlines()[-1]


@contextmanager
def running(name: str) -> Iterator[str]:
    """What `tests/sites/NAME up` prints. The shared lock says that the server is in use, until the process ends."""
    users = _open(STATE / f"{name}.users")
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield _site(name, "up")
        if _last(users) and not (STATE / name / "keep").exists():
            _site(name, "down")
    finally:
        os.close(users)


def _open(path: Path) -> int:
    """A lock file for all users of this machine: the first makes it, the others only read it."""
    if not STATE.exists():
        STATE.mkdir(parents=True)
        STATE.chmod(0o1777)
    if not path.exists():
        path.touch()
    return os.open(path, os.O_RDONLY)


def _last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _site(name: str, verb: str) -> str:
    environment = os.environ | {"UNTIL_UNUSED": "1"}
    done = subprocess.run([SITES / name, verb], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"tests/sites/{name} {verb} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
