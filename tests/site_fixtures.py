"""Fixtures that start the real servers by the project's own scripts.

A server that was up before stays up; one that tests started goes down with the last session that uses it, in
whatever process or clone that is.
"""

import fcntl
import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import httpx
import pytest

from backends.spec import Site
from tests.token_issuer import TokenIssuer, serving

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


@dataclass(frozen=True, slots=True)
class UnicoreSite:
    """The settings that `tests/sites/unicore env` prints. A user's password is `<user>-password`."""

    url: str
    ca: str
    name: str
    version: str
    user: str
    password: str
    other_user: str
    other_password: str
    user_without_account: str
    """May log in; the server calls her anonymous."""
    operator: str
    """May switch submission off."""
    jobs: str
    """Directory of the jobs' directories, on this machine."""
    scratch: str
    """Directory that tests and jobs write to alike."""
    log: str
    directory: str

    def site(self, **changes: object) -> Site:
        """As an operator would write it down."""
        values: dict[str, object] = {
            "id": f"unicore-{self.name}",
            "name": f"unicore-{self.name}",
            "kind": "unicore",
            "url": self.url,
            "options": {"tlsCa": Path(self.ca).read_text(), "rawJobsAllowed": True},
        }
        return Site(**(values | changes))  # type: ignore[arg-type]

    def trust(self) -> ssl.SSLContext:
        """For a client that is to take its certificate."""
        return ssl.create_default_context(cafile=self.ca)

    @property
    def private_key(self) -> str:
        """File of alice's SSH key, whose tokens a server `...-login` takes."""
        return self.key_of(self.user)

    def key_of(self, login: str) -> str:
        """Of alice's names there: `alice` with an Ed25519 key, `alice-rsa`, `alice-ecdsa`."""
        return f"{self.directory}/trust/{login}.key"

    @contextmanager
    def issuer(self) -> Iterator[TokenIssuer]:
        """The issuer that a server `...-login` asks about tokens, for one test at a time."""
        ports = dict(line.split("=") for line in (Path(self.directory) / "ports").read_text().split())
        turn = _open(STATE / f"unicore-{self.name}.issuer")
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            with serving(int(ports["ISSUER_PORT"])) as issuer:
                yield issuer
        finally:
            os.close(turn)

    @property
    def server_pid(self) -> int:
        return int((Path(self.directory) / "server.pid").read_text())

    def kill(self) -> None:
        """kill -9 of the server alone; its jobs go on. Of `unicore_to_kill` only: the other servers are shared."""
        _site("unicore", "kill", self.name)

    def up(self) -> None:
        """Starts a server that was killed, with the jobs that it remembers, at the same address."""
        _site("unicore", "up", self.name)

    @contextmanager
    def submission_off(self, message: str) -> Iterator[None]:
        """The operator has switched submission off. A restart of the server switches it on again."""
        self._switch_submission(message)
        try:
            yield
        finally:
            self._switch_submission("")

    def _switch_submission(self, message: str) -> None:
        """The server knows only a toggle: off with a message, on without one."""
        with httpx.Client(
            auth=(self.operator, f"{self.operator}-password"),
            verify=ssl.create_default_context(cafile=self.ca),
            headers={"Accept": "application/json"},
        ) as client:
            said = client.get(self.url).raise_for_status().json()["server"]["jobSubmission"]
            if said["enabled"] is not bool(message):
                return
            actions = self.url.removesuffix("/core") + "/admin/actions/ToggleJobSubmission"
            client.post(actions, json={"message": message} if message else {}).raise_for_status()


@pytest.fixture(scope="session")
def unicore_11() -> Iterator[UnicoreSite]:
    """A running UNICORE/X 11.0.0."""
    with running("unicore", "11") as settings:
        yield UnicoreSite(**json.loads(settings))


@pytest.fixture(scope="session")
def unicore_10() -> Iterator[UnicoreSite]:
    """A running UNICORE/X 10.2.0."""
    with running("unicore", "10") as settings:
        yield UnicoreSite(**json.loads(settings))


@pytest.fixture(scope="session", params=["11", "10"], ids=["unicore-11", "unicore-10"])
def unicore_site(request: pytest.FixtureRequest) -> UnicoreSite:
    """A running UNICORE/X server, of each version in turn."""
    site: UnicoreSite = request.getfixturevalue(f"unicore_{request.param}")
    return site


@pytest.fixture(scope="session", params=["11-login", "10-login"])
def unicore_logins(request: pytest.FixtureRequest) -> Iterator[UnicoreSite]:
    """A server of each version in turn that takes more ways to log in, and keeps sessions for 3 s."""
    with running("unicore", request.param) as settings:
        yield UnicoreSite(**json.loads(settings))


@pytest.fixture(scope="session", params=["11-kill", "10-kill"])
def unicore_to_kill(request: pytest.FixtureRequest) -> Iterator[UnicoreSite]:
    """A server of each version in turn that no other tests use; a test leaves it up."""
    with running("unicore", request.param) as settings:
        yield UnicoreSite(**json.loads(settings))


@contextmanager
def running(name: str, *which: str) -> Iterator[str]:
    """What `tests/sites/NAME up WHICH` prints. The shared lock says that the server is in use, until the process
    ends."""
    state = "-".join((name, *which))
    users = _open(STATE / f"{state}.users")
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield _site(name, "up", *which)
        if _last(users) and not (STATE / state / "keep").exists():
            _site(name, "down", *which)
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


def _site(name: str, verb: str, *which: str) -> str:
    environment = os.environ | {"UNTIL_UNUSED": "1"}
    done = subprocess.run([SITES / name, verb, *which], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"tests/sites/{name} {verb} {' '.join(which)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A server of UNICORE may take its time over the end of TLS, which aiohttp leaves to the event loop."""
    for item in items:
        if item.get_closest_marker("unicore"):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
