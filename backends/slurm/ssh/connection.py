"""One SSH connection, over a jump host where the site has one."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import asyncssh

from backends.errors import AuthenticationFailed, BackendError, ChallengeRequired, SiteUnavailable
from backends.slurm.ssh.address import PORT, Address
from backends.slurm.ssh.login import Login, options
from backends.slurm.ssh.trust import Trust, public_line
from backends.spec import Credential, Site

CONNECT_LIMIT = 20.0
"""Seconds for TCP, key exchange and login of one hop."""
KEEPALIVE_INTERVAL = 15.0
KEEPALIVE_MISSES = 3
HOST_KEY_FAMILIES = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
HOST_KEY_ALGORITHMS = tuple(algorithm for family in HOST_KEY_FAMILIES for algorithm in family)


class Connection:
    """An open connection and the jump below it; both close together."""

    def __init__(self, top: Any, jump: Any | None) -> None:
        self.top = top
        self._jump = jump

    def is_open(self) -> bool:
        return not self.top.is_closed()

    def close(self) -> None:
        """Start closing, without waiting for the servers."""
        for hop in (self.top, self._jump):
            if hop is not None:
                hop.close()

    async def aclose(self) -> None:
        self.close()
        for hop in (self.top, self._jump):
            if hop is not None:
                await hop.wait_closed()


async def connect(site: Site, credential: Credential) -> Connection:
    """Log in with one attempt per hop.

    Raises HostKeyRejected (nothing of the credential was sent), AuthenticationFailed, ChallengeRequired or
    SiteUnavailable.
    """
    if not site.host:
        raise SiteUnavailable(f"The site {site.name} has no host; correct the site.")
    target = Address(site.host, site.port or PORT)
    if not site.jump:
        return Connection(await _hop(site, target, credential), None)
    jump_address = Address.parse(site.jump)
    jump = await _hop(site, jump_address, credential, jump=True)
    try:
        return Connection(await _hop(site, target, credential, tunnel=jump), jump)
    except BaseException:
        jump.close()
        raise


async def _hop(
    site: Site, address: Address, credential: Credential, *, jump: bool = False, tunnel: Any | None = None
) -> Any:
    trust = Trust.of(site.host_keys, address, jump=jump)
    user = address.user or credential.login_name
    if not user:
        raise AuthenticationFailed("The connection has no login name; edit the connection.")
    login = Login(credential)
    settings = options(credential, user, trust)
    limit = _seconds(site.options.get("connectTimeLimit"), CONNECT_LIMIT)
    try:
        async with asyncio.timeout(limit):
            return await asyncssh.connect(
                address.host,
                address.port,
                tunnel=tunnel,
                client_factory=lambda: login,
                login_timeout=limit,
                keepalive_interval=KEEPALIVE_INTERVAL,
                keepalive_count_max=KEEPALIVE_MISSES,
                **settings,
            )
    except asyncssh.HostKeyNotVerifiable as error:
        raise trust.refusal(address, login.shown) from error
    except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError) as error:
        # We ask for the listed key types only; a server with another type says so, or just hangs up.
        if trust.keys and not trust.authorities and not login.refused:
            shown = await _shown_key(address, tunnel)
            if shown is not None and shown.algorithm not in {key.algorithm for key in trust.keys}:
                raise trust.refusal(address, shown) from error
        raise _failure(error, login, address, user, limit, via=site.jump if tunnel else None) from error
    except (asyncssh.Error, OSError) as error:  # TimeoutError is an OSError
        raise _failure(error, login, address, user, limit, via=site.jump if tunnel else None) from error


def _failure(
    error: Exception, login: Login, address: Address, user: str, limit: float, via: str | None
) -> BackendError:
    text = login.banner or str(error)
    if login.challenge:
        return ChallengeRequired(
            f"{address} asks {user} for more than the stored credential: {login.challenge} Log in to the connection.",
            text=login.challenge,
        )
    if login.refused or isinstance(error, asyncssh.PermissionDenied):
        said = f" The site says: {login.banner}" if login.banner else ""
        return AuthenticationFailed(
            f"{address} refused the login of {user}. Check the login name and that the site knows this key or "
            f"password; then edit the connection.{said}",
            text=text,
        )
    return unavailable(error, address, limit, via)


def unavailable(error: Exception, address: Address, limit: float, via: str | None = None) -> SiteUnavailable:
    """One sentence: host, port, what happened, next step."""
    where = f"{address} over the jump host {via}" if via else str(address)
    if isinstance(error, socket.gaierror):
        message = f"The name {address.host} cannot be resolved. Check the host of the site."
    elif isinstance(error, ConnectionRefusedError):
        message = f"{where} refuses connections: no SSH server answers there. Check host and port of the site."
    elif isinstance(error, TimeoutError):
        message = f"{where} did not answer within {limit:g} s. Check that it is up and reachable from the gateway."
    elif isinstance(error, asyncssh.ChannelOpenError):
        message = f"{where} cannot be reached: {error}. Check host and port of the site."
    elif isinstance(error, asyncssh.ConnectionLost):
        message = f"{where} closed the connection. It is tried again."
    else:
        message = f"{where} cannot be reached: {error}. Check host and port of the site."
    return SiteUnavailable(message, text=str(error))


async def scan_host_keys(host: str, port: int = PORT) -> tuple[str, ...]:
    """What the server shows, as `<type> <base64>`, for a person to compare with the centre's page and confirm.

    Logs nobody in. Raises SiteUnavailable when there is no SSH server.
    """
    address = Address(host, port)
    try:
        first = await _ask_key(address, None, HOST_KEY_ALGORITHMS)
    except (asyncssh.Error, OSError) as error:
        raise unavailable(error, address, CONNECT_LIMIT) from error
    found = [first]
    for algorithms in HOST_KEY_FAMILIES:
        key = await _shown_key(address, None, algorithms)
        if key is not None and key not in found:
            found.append(key)
    return tuple(public_line(key) for key in found)


async def _shown_key(address: Address, tunnel: Any | None, algorithms: Sequence[str] = ()) -> Any | None:
    """The key the server shows; None when it has none of these types, which some servers say by hanging up."""
    try:
        return await _ask_key(address, tunnel, algorithms or HOST_KEY_ALGORITHMS)
    except (asyncssh.Error, OSError):
        return None


async def _ask_key(address: Address, tunnel: Any | None, algorithms: Sequence[str]) -> Any:
    async with asyncio.timeout(CONNECT_LIMIT):
        return await asyncssh.get_server_host_key(
            address.host, address.port, tunnel=tunnel, server_host_key_algs=list(algorithms), config=None
        )


def _seconds(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else default
