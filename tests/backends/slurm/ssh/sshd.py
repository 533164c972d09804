"""A real sshd of our own beside the site's, for the same user: other settings, own keys, own log."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncssh

from backends.slurm.ssh.trust import public_line
from backends.spec import Credential, Site
from tests.backends.slurm.ssh.credentials import key_credential, new_key


class Sshd:
    """Needs root, as an sshd does that lets another user in."""

    def __init__(
        self, user: str, environment: Mapping[str, str], options: Sequence[str] = (), key_options: str = ""
    ) -> None:
        self.user = user
        self.home = Path(pwd.getpwnam(user).pw_dir)
        # The user has to read it, and a root's /tmp may be closed to others.
        self.directory = self.home / f"sshd-{uuid.uuid4().hex[:8]}"
        self.directory.mkdir(mode=0o755)
        self.key = new_key()
        (self.directory / "authorized_keys").write_text(f"{key_options} {public_line(self.key.convert_to_public())}\n")
        (self.directory / "authorized_keys").chmod(0o644)
        self.log = self.directory / "log"
        self.port = _free_port()
        self.set_host_key(new_key())
        setenv = " ".join(f'"{name}={value}"' for name, value in environment.items())
        self._settings = [
            *options,  # sshd takes the first of two
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"PidFile {self.directory / 'pid'}",
            f"AuthorizedKeysFile {self.directory / 'authorized_keys'}",
            "LogLevel VERBOSE",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "Subsystem sftp internal-sftp",
            *([f"SetEnv {setenv}"] if setenv else []),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def set_host_key(self, key: asyncssh.SSHKey) -> None:
        self.host_key = key
        path = self.directory / "host_key"
        path.write_bytes(key.export_private_key("openssh"))
        path.chmod(0o600)

    def start(self) -> None:
        config = self.directory / "sshd_config"
        config.write_text("\n".join([f"HostKey {self.directory / 'host_key'}", *self._settings]) + "\n")
        Path("/run/sshd").mkdir(exist_ok=True)
        self._process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(self.log)])
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def _answers(self) -> bool:
        """By its greeting: a connection to a free port of this range can be one to itself."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5) as probe:
            return probe.recv(4) == b"SSH-"
        return False

    def stop(self) -> None:
        """The server and the sessions that it serves."""
        if self._process is not None:
            for process in _below(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def site(self, **changes: object) -> Site:
        keys = (public_line(self.host_key.convert_to_public()),)
        fields = {"host": "127.0.0.1", "port": self.port, "host_keys": keys, **changes}
        return Site("s", "centre", "slurm", **fields)  # type: ignore[arg-type]

    def credential(self) -> Credential:
        return key_credential(self.key, self.user)

    def failed_logins(self) -> int:
        """At VERBOSE sshd writes this line for each offered key or password that it refuses."""
        return self.log.read_text().count(f"Failed publickey for {self.user} ")

    def logins(self) -> int:
        return self.log.read_text().count(f"Accepted publickey for {self.user} ")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _below(pid: int) -> list[int]:
    """All processes under one: an sshd has two per connection, and the commands below them."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # gone meanwhile
        return []
    return [*children, *(deeper for child in children for deeper in _below(child))]
