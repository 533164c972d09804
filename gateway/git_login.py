"""How git gets a login: variables and 0600 files, nothing of it in a command line, and only for its own host."""

import shlex
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ASKPASS = """#!/bin/sh
case "$1" in
"Username for '$MANTIK_GIT_SCHEME://$MANTIK_GIT_HOST': ") printf %s "$MANTIK_GIT_NAME" ;;
"Password for '$MANTIK_GIT_SCHEME://"*"@$MANTIK_GIT_HOST': ") printf %s "$MANTIK_GIT_WORD" ;;
*) exit 1 ;;
esac
"""
"""Git names the origin that it asks for: https://git-scm.com/docs/gitcredentials"""


@dataclass(frozen=True, slots=True)
class GitLogin:
    """Credential for one origin: a token or password over HTTPS, or a private key over SSH."""

    name: str = ""
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    known_hosts: str = ""
    """Lines of host keys, when only these are to be taken."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a host was found, and where git is to go without another look-up."""

    host: str
    port: int | None
    """None for the scheme's own."""
    addresses: Sequence[str]


def resolved(way: Way, scheme: str) -> str:
    """As curl takes it: https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpcurloptResolve"""
    port = way.port or (443 if scheme == "https" else 80)
    shown = ",".join(f"[{a}]" if ":" in a else a for a in way.addresses)
    return f"{way.host}:{port}:{shown}"


@dataclass(frozen=True, slots=True)
class SshHosts:
    """The file of known host keys. `only_known`: others are refused; else each is kept as it showed itself first."""

    file: Path
    only_known: bool = False


@asynccontextmanager
async def login_environment(
    login: GitLogin | None, uri: str, hosts: SshHosts, way: Way | None = None
) -> AsyncIterator[dict[str, str]]:
    """Variables for git; what they point at is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="mantik-git-") as folder:
        key = None
        environment = {}
        if login and login.password is not None:
            ask = Path(folder, "askpass")
            ask.write_text(ASKPASS)
            ask.chmod(0o700)
            environment = {"GIT_ASKPASS": str(ask), "MANTIK_GIT_NAME": login.name, "MANTIK_GIT_WORD": login.password}
            parts = urlsplit(uri)
            environment |= {"MANTIK_GIT_SCHEME": parts.scheme, "MANTIK_GIT_HOST": parts.netloc.rpartition("@")[2]}
        if login and login.private_key is not None:
            key = Path(folder, "key")
            key.touch(mode=0o600)
            key.write_text(login.private_key if login.private_key.endswith("\n") else f"{login.private_key}\n")
        if login and login.known_hosts.strip():
            hosts = SshHosts(Path(folder, "known_hosts"), only_known=True)
            hosts.file.write_text(login.known_hosts.rstrip() + "\n")
        yield environment | {"GIT_SSH_COMMAND": ssh_command(key, hosts, way), "GIT_SSH_VARIANT": "ssh"}


def ssh_command(key: Path | None, hosts: SshHosts, way: Way | None = None) -> str:
    """Ssh with this key or none, never with a key, agent or host file of who runs the gateway.

    Ssh takes the home directory from the user database, so that HOME does not keep it away from there."""
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "UserKnownHostsFile": _path(hosts.file.absolute()),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes" if hosts.only_known else "accept-new",
        "UpdateHostKeys": "no",
    }
    if way is not None:
        # The key stays filed under the name, as ssh would do by itself.
        name = way.host if way.port in (None, 22) else f"[{way.host}]:{way.port}"
        options |= {"HostName": way.addresses[0], "HostKeyAlias": name, "CheckHostIP": "no"}
    identity = f"-i{key}" if key else "-oIdentityFile=none"
    return shlex.join(["ssh", "-F/dev/null", identity, *(f"-o{name}={value}" for name, value in options.items())])


def _path(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'
