"""Which git URIs are taken, and where their secrets may go. Every URI is checked here before git sees it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from gateway.errors import InvalidInput
from gateway.git_hosts import GitHosts, PrivateHost

_FORMS = "Use https://host/path or ssh://user@host/path."
_HOST = re.compile(r"^(?!-)[A-Za-z0-9._-]{1,253}$|^[0-9A-Fa-f:.]+$")
_SCP = re.compile(r"^(?:(?P<user>[^@/:\s]+)@)?(?P<host>[^@/:\s]+):(?P<path>[^:].*)$")
_USER = re.compile(r"^(?!-)[A-Za-z0-9._-]+$")
"""Git takes `%2F` of a user name for a slash, and so another host than we do."""
_DEFAULT_PORTS = {"https": 443, "ssh": 22}


@dataclass(frozen=True, slots=True)
class GitLocation:
    """A URI that was taken, and its origin `scheme://host[:port]`; None for a path on the gateway's machine."""

    uri: str
    origin: str | None


def check_git_uri(
    uri: str,
    *,
    allowed_hosts: Sequence[str] = (),
    local_allowed: bool = False,
    private: Path | None = None,
    field: str = "uri",
) -> GitLocation:
    """Raises InvalidInput that names the field and says what to write instead; never repeats an embedded secret.

    No local path may lie below `private`, the gateway's own directory. What a host's name leads to is looked up when
    the repository is used, for it may change."""
    if not uri.isprintable() or any(c.isspace() for c in uri) or uri.startswith("-") or "::" in uri.split("/")[0]:
        raise InvalidInput(f"{field}: this is no URI of a git repository. {_FORMS}")
    if uri.startswith(("/", "./", "../", "~", "file:")):
        return _local(uri, local_allowed, private, field)
    parts = urlsplit(as_url(uri)) if _is_url(as_url(uri)) else None
    if parts is None or parts.scheme not in _DEFAULT_PORTS:
        raise InvalidInput(f"{field}: only https and ssh are taken. {_FORMS}")
    origin = _origin(parts, field)
    if allowed_hosts and parts.hostname not in {h.lower() for h in allowed_hosts}:
        hosts = ", ".join(allowed_hosts)
        raise InvalidInput(f"{field}: the gateway takes repositories from these hosts only: {hosts}.")
    try:
        GitHosts(allowed_hosts).check(parts.hostname or "")
    except PrivateHost as error:
        raise InvalidInput(f"{field}: {error}") from None
    return GitLocation(uri, origin)


def origin_of(url: str, field: str = "origin") -> str:
    """The origin of a git or data service, normalized, from `scheme://host[:port]` or a whole URI."""
    text = as_url(url)
    if not _is_url(text) or urlsplit(text).scheme not in _DEFAULT_PORTS:
        raise InvalidInput(f"{field}: give https://host[:port] or ssh://host[:port].")
    return _origin(urlsplit(text), field, needs_path=False)


def as_url(uri: str) -> str:
    """`user@host:path`, git's own short form of ssh, as a URL; others as they are."""
    match = _SCP.match(uri) if "://" not in uri else None
    if match is None:
        return uri
    user = f"{match['user']}@" if match["user"] else ""
    return f"ssh://{user}{match['host']}/{match['path'].lstrip('/')}"


def _is_url(text: str) -> bool:
    try:
        return bool(urlsplit(text).hostname) and (urlsplit(text).port or 1) > 0
    except ValueError:
        return False


def _origin(parts: SplitResult, field: str, *, needs_path: bool = True) -> str:
    if parts.password is not None or (parts.username and parts.scheme == "https"):
        raise InvalidInput(
            f"{field}: a user name or password does not belong into a URI. Take it out, and make a connection with "
            "that credential for the host."
        )
    host = parts.hostname or ""
    if parts.username is not None and not _USER.match(parts.username) and not parts.username.startswith("-"):
        raise InvalidInput(f"{field}: the user name may have letters, digits and . _ - only. {_FORMS}")
    if not _HOST.match(host) or (parts.username or "").startswith("-"):
        raise InvalidInput(f"{field}: the host name is not valid. {_FORMS}")
    if needs_path and (parts.path.strip("/") == "" or parts.path.lstrip("/").startswith("-")):
        raise InvalidInput(f"{field}: the path of the repository is missing. {_FORMS}")
    if parts.query or parts.fragment:
        raise InvalidInput(f"{field}: leave out what follows `?` or `#`; give branch and commit with the run.")
    port = parts.port if parts.port != _DEFAULT_PORTS[parts.scheme] else None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


def _local(uri: str, allowed: bool, private: Path | None, field: str) -> GitLocation:
    if not allowed:
        raise InvalidInput(f"{field}: the operator does not allow repositories on the gateway's machine. {_FORMS}")
    path = uri.removeprefix("file://")
    if not path.startswith("/") or ".." in path.split("/"):
        raise InvalidInput(f"{field}: give the absolute path of the repository, without `..`.")
    if private is not None and Path(path).resolve().is_relative_to(private.resolve()):
        raise InvalidInput(f"{field}: this is in the gateway's own directory; give a repository outside of it.")
    return GitLocation(uri, None)
