"""Which hosts git and token issuers may be on: public ones and those that the operator named, so that no address that
a user gives opens the inner network."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

LOOK_UP_SECONDS = 15.0
SHOWN = 80
"""Characters that are repeated of what is no host."""
NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 behind a translator of the network: https://www.rfc-editor.org/rfc/rfc6052"""
CLOSED = (
    IPv6Network("64:ff9b:1::/48"),  # IPv4 behind a translator of one's own: https://www.rfc-editor.org/rfc/rfc8215
    IPv6Network("::/96"),  # IPv4 as it was written once: https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.1
    IPv6Network("::ffff:0:0:0/96"),  # IPv4, translated: https://www.rfc-editor.org/rfc/rfc7915
    IPv6Network("fec0::/10"),  # of a site: https://www.rfc-editor.org/rfc/rfc3879
    IPv6Network("5f00::/16"),  # segments of a route: https://www.rfc-editor.org/rfc/rfc9602
    IPv6Network("3fff::/20"),  # of documentation: https://www.rfc-editor.org/rfc/rfc9637
)
"""What `ipaddress` of Python 3.11 takes for public, or did, and is not."""

LookUp = Callable[[str], Awaitable[Sequence[str]]]


class PrivateHost(Exception):
    """The host is on this machine or in a network that is not public; the message is one sentence for a user."""

    def __init__(self, host: str, setting: str) -> None:
        super().__init__(
            f"the host {host} is on the gateway's machine or in a network that is not public. "
            f"Give a public host, or ask your operator to name this one in {setting}."
        )


class NoHost(PrivateHost):
    """What stands for a host can be none; the message is one sentence for a user."""

    def __init__(self, host: str) -> None:
        Exception.__init__(
            self,
            f"{host if len(host) <= SHOWN else host[:SHOWN] + '...'} is no name of a host. "
            "Give one whose parts between the dots have 1 to 63 characters, such as host.example.org.",
        )


async def look_up(host: str, threads: Executor | None = None) -> Sequence[str]:
    """Addresses of a name by the system, which is asked in one of `threads`, those of the loop by default.

    Raises NoHost, and OSError, also when it takes more than LOOK_UP_SECONDS."""
    ask = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(threads, ask), LOOK_UP_SECONDS)
    except ValueError:
        raise NoHost(host) from None
    return list(dict.fromkeys(str(where[4][0]) for where in found))


@dataclass(frozen=True, slots=True)
class GitHosts:
    """`allowed`: names of the operator; empty for any public host. What is allowed by name may lie anywhere."""

    allowed: Sequence[str] = ()
    look_up: LookUp = look_up
    setting: str = "MANTIK_ALLOWED_GIT_HOSTS"
    """Where the operator names them."""

    def named(self, host: str) -> bool:
        return host.lower() in {name.lower() for name in self.allowed}

    def check(self, host: str) -> None:
        """What a host says by itself, without a look at any network. Raises PrivateHost, NoHost."""
        if self.named(host):
            return
        name = host.lower().rstrip(".")
        if name == "localhost" or name.endswith(".localhost") or not all(map(is_public, _written(host))):
            raise PrivateHost(host, self.setting)

    async def addresses(self, host: str) -> Sequence[str]:
        """Where the host may be reached: all its addresses, each of them public; empty for one that is named, which
        needs no look. Who goes on uses these addresses and does not ask again: a name may mean others by then.

        Raises PrivateHost, NoHost, OSError."""
        if self.named(host):
            return ()
        self.check(host)
        found = await self.look_up(host)
        if not found:
            raise OSError(f"no address of {host}")
        if not all(map(is_public, found)):
            raise PrivateHost(host, self.setting)
        return found


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet; one that carries an IPv4 address is judged by that, too."""
    found = ip_address(address.partition("%")[0])
    carried = _carried(found)
    if any(found in network for network in CLOSED):
        return False
    return found.is_global and not found.is_multicast if carried is None else is_public(str(carried))


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _written(host: str) -> Sequence[str]:
    """The address that a host is in itself, in any spelling (`127.1`, `0x7f000001`); none for a name. Raises NoHost."""
    try:
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return ()
    except ValueError:  # as are those of the codec of names
        raise NoHost(host) from None
    return [str(where[4][0]) for where in found]
