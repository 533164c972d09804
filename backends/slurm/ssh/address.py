"""Where an SSH server listens."""

from dataclasses import dataclass

from backends.errors import SiteUnavailable

PORT = 22


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port, and the user where a jump host has its own."""

    host: str
    port: int = PORT
    user: str | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `[user@]host[:port]`; an IPv6 address with a port stands in brackets."""
        user, _, rest = text.strip().rpartition("@")
        if rest.startswith("["):
            host, _, port = rest[1:].partition("]")
            port = port.removeprefix(":")
        elif rest.count(":") == 1:
            host, _, port = rest.partition(":")
        else:
            host, port = rest, ""
        if not host or (port and not port.isascii()) or (port and not port.isdigit()):
            raise SiteUnavailable(f"The jump host {text!r} of the site is not [user@]host[:port]; correct the site.")
        return cls(host, int(port) if port else PORT, user or None)
