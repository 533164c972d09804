"""Whether the address of a site makes sense, and the host keys that its host shows now."""

import base64
import binascii
import hashlib
import re

from backends import registry
from backends.errors import BackendError
from gateway.errors import FieldProblem, InvalidInput, SiteProblem, Unavailable
from gateway.schemas.sites import CreateSite, ScannedHostKeys
from gateway.users.access import require_admin
from gateway.users.caller import Caller

_HOST = re.compile(r"^(?!-)[A-Za-z0-9._:-]+$")
_JUMP = re.compile(r"^(?:(?!-)[A-Za-z0-9._-]+@)?(?!-)[A-Za-z0-9._-]+(?::\d{1,5})?$")


def check_site(body: CreateSite) -> None:
    """Raises InvalidInput with every field that is wrong."""
    problems: list[FieldProblem] = []
    if body.kind not in registry.names():
        problems.append(FieldProblem("kind", f"{body.kind!r} is unknown; choose one of {', '.join(registry.names())}."))
    if body.host is not None and not _HOST.match(body.host):
        problems.append(FieldProblem("host", "is no host name."))
    if body.kind == "slurm" and body.host is None:
        problems.append(FieldProblem("host", "is needed: the login node that takes SSH."))
    if body.jump is not None and not _JUMP.match(body.jump):
        problems.append(FieldProblem("jump", "give [user@]host[:port]."))
    if body.url is not None and not body.url.startswith("https://") and body.verify_tls:
        problems.append(FieldProblem("url", "must begin with https://, unless verifyTls is false."))
    if body.poll_seconds_max < body.poll_seconds_min:
        problems.append(FieldProblem("pollSecondsMax", "may not be smaller than pollSecondsMin."))
    for n, line in enumerate(body.host_keys):
        if _blob(line) is None:
            problems.append(FieldProblem(f"hostKeys[{n}]", "give `<type> <base64>`, see POST /sites/scan-host-keys."))
    if problems:
        raise InvalidInput("The site is not valid.", problems=problems)


async def scan(caller: Caller, host: str, port: int) -> ScannedHostKeys:
    """The keys that the host shows now. An operator compares the fingerprints with the centre's before storing them."""
    require_admin(caller)
    if not _HOST.match(host):
        raise InvalidInput("host: this is no host name.")
    try:
        from backends.slurm.ssh.connection import scan_host_keys  # an extra: the gateway starts without it
    except ImportError:
        raise Unavailable("SSH is not installed.", next_step="Install mantik-gateway[slurm].") from None
    try:
        keys = list(await scan_host_keys(host, port))
    except BackendError as error:
        raise SiteProblem(error.message) from None
    return ScannedHostKeys(host=host, port=port, keys=keys, fingerprints=[fingerprint(key) for key in keys])


def fingerprint(line: str) -> str:
    """As `ssh-keygen -l` prints it."""
    blob = _blob(line)
    if blob is None:
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _blob(line: str) -> bytes | None:
    """The key of `[@cert-authority] [host] <type> <base64>`; None when there is none."""
    words = line.removeprefix("@cert-authority ").split()
    at = next((n for n, word in enumerate(words) if n > 0 and word.startswith("AAAA")), None)
    if at is None or at > 2:
        return None
    try:
        blob = base64.b64decode(words[at], validate=True)
    except binascii.Error:
        return None
    named = words[at - 1].encode()
    return blob if blob[4 : 4 + len(named)] == named else None
