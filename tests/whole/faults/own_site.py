"""A login node of a test's own beside the cluster's: its keys, host key and commands can be broken at will."""

import shlex
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh

from backends.slurm.ssh.trust import public_line
from tests.backends.slurm.ssh.sshd import Sshd
from tests.site_fixtures import SlurmSite
from tests.whole.gateway_process import FINAL, wait_for
from tests.whole.workshop import Workshop


class OwnSite:
    """An own sshd of the cluster, entered in the gateway as a site with one connection."""

    def __init__(self, workshop: Workshop, there: SlurmSite, name: str, sshd: Sshd) -> None:
        self.workshop = workshop
        self.there = there
        self.name = name
        self.sshd = sshd
        self.site = self.connection = ""

    def enter(self, key: asyncssh.SSHKey | None = None, *, check: bool = True, **changes: Any) -> None:
        """Store site and connection; by default with the key that the sshd knows."""
        self.site = str(self.workshop.gateway.call("POST", "/sites", self._body(**changes))["siteId"])
        body = {
            "connectionName": self.name,
            "connectionProvider": "SSH",
            "authMethod": "SSH-Key",
            "siteId": self.site,
            "loginName": self.there.user,
            "privateKey": private(key or self.sshd.key),
        }
        made = self.workshop.gateway.call("POST", self.workshop.connections, body, check=check)
        self.connection = str(made["connectionId"])

    def _body(self, **changes: Any) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": "slurm",
            "host": "127.0.0.1",
            "port": self.sshd.port,
            "hostKeys": [public_line(self.sshd.host_key.convert_to_public())],
            "workDirectory": "$SCRATCH/$USER/mantik",
            "pollSecondsMin": 0.2,
            "pollSecondsMax": 0.5,
        } | changes

    def change(self, **changes: Any) -> None:
        """As the operator: the site as it stands now, and these changes."""
        self.workshop.gateway.call("PUT", f"/sites/{self.site}", self._body(**changes))

    def shown(self) -> dict[str, Any]:
        path = f"{self.workshop.connections}/{self.connection}"
        found: dict[str, Any] = self.workshop.gateway.call("GET", path)
        return found

    def check(self) -> None:
        """So that the gateway knows the queues and accounts of now."""
        self.workshop.gateway.call("POST", f"{self.workshop.connections}/{self.connection}/check")

    def renew(self, key: asyncssh.SSHKey) -> None:
        """As the owner: a new credential, tried at once."""
        path = f"{self.workshop.connections}/{self.connection}/credential"
        answer = self.workshop.gateway.call("PUT", path, {"privateKey": private(key)})
        assert answer["lastCheck"]["ok"], answer["lastCheck"]

    def authorize(self, key: asyncssh.SSHKey | None) -> None:
        """The one key that may log in from now on; sessions that are open stay."""
        line = public_line(key.convert_to_public()) if key is not None else ""
        (self.sshd.directory / "authorized_keys").write_text(f"{line}\n")

    def cut(self) -> None:
        """Every open session ends as when a network breaks; the server answers again at once."""
        self.sshd.stop()
        self.sshd.start()

    def submit(self, **changes: Any) -> str:
        resources = {"Queue": "batch", "Runtime": "5m", "TasksPerNode": 1} | changes.pop("resources", {})
        config = {"SSH": {"Hostname": "127.0.0.1", "Port": self.sshd.port}, "Resources": resources}
        wanted = {"connectionId": self.connection, "computeBudgetAccount": "budget-a", "backendConfig": config}
        return self.workshop.submit(**(wanted | changes))

    def go(self, run_id: str) -> None:
        """What the entry point `waits` waits for."""
        outputs = Path(self.workshop.run(run_id)["workDirectory"]).parent / "outputs"
        wait_for(outputs.is_dir, 10)
        (outputs / "go").touch()

    def slurm(self, *argv: str) -> str:
        """A command of Slurm as root."""
        return self.there.run(*argv)

    def job(self, run_id: str) -> str:
        """The job id, once the gateway has it."""

        def there() -> dict[str, Any] | None:
            run = self.workshop.run(run_id)
            assert run["job"] or run["state"] not in FINAL, self.workshop.story(run_id)
            found: dict[str, Any] | None = run["job"]
            return found

        return str(wait_for(there, 60)["siteJobId"])

    def beside(self, name: str, **changes: Any) -> "OwnSite":
        """Another site of the gateway on the same login node, not checked."""
        other = OwnSite(self.workshop, self.there, name, self.sshd)
        other.enter(check=False, **changes)
        return other


@contextmanager
def own_site(workshop: Workshop, there: SlurmSite, name: str, **changes: Any) -> Iterator[OwnSite]:
    """A site that is entered and checked; `environment` is set in its sessions."""
    environment: Mapping[str, str] = changes.pop("environment", {})
    sshd = Sshd(there.user, {"SLURM_CONF": there.slurm_conf, "SCRATCH": there.scratch, **environment})
    try:
        sshd.start()
        site = OwnSite(workshop, there, name, sshd)
        site.enter(**changes)
        yield site
    finally:
        sshd.close()


def private(key: asyncssh.SSHKey) -> str:
    return str(key.export_private_key("openssh").decode())


@contextmanager
def closed_queue(there: SlurmSite) -> Iterator[str]:
    """A queue of a test's own whose jobs wait until it is opened."""
    name = f"closed-{uuid.uuid4().hex[:6]}"
    there.run("scontrol", "create", f"partitionname={name}", "nodes=c1", "state=down", "maxtime=10")
    try:
        yield name
    finally:
        there.run("scancel", f"--partition={name}")
        wait_for(lambda: there.run("squeue", "-h", "-p", name) == "", 20)
        there.run("scontrol", "delete", f"partitionname={name}")


class Hiding:
    """Directory of `squeue` and `sacct` for the PATH of a site: the real ones, without the jobs that are hidden."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._hidden = directory / "hidden"
        self.show_all()
        for name in ("squeue", "sacct"):
            program = directory / name
            program.write_text(
                f"#!/bin/bash\nset -o pipefail\nhidden={shlex.quote(str(self._hidden))}\n"
                f'/usr/bin/{name} "$@" | {{ [ -s "$hidden" ] || exec cat; exec grep -avf "$hidden"; }}\n'
                '[ "${PIPESTATUS[0]}" -eq 0 ]\n'
            )
            program.chmod(0o755)
        self.path = f"{directory}:/usr/local/bin:/usr/bin:/bin"

    def hide(self, *jobs: str) -> None:
        self._write("".join(f"^ *{job}[^0-9]\n" for job in jobs))

    def show_all(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        part = self._hidden.with_suffix(".part")
        part.write_text(text)
        part.chmod(0o644)
        part.replace(self._hidden)
