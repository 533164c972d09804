"""`Shell` over SSH: entry.sh on a login node."""

import asyncio
from typing import Any

import asyncssh
from asyncssh.constants import OPEN_REQUEST_SESSION_FAILED

from backends.backend import CredentialSource
from backends.errors import AuthenticationFailed, ChallengeRequired, SiteUnavailable
from backends.host.shell import Completed
from backends.host.words import encode
from backends.slurm.ssh.address import PORT, Address
from backends.slurm.ssh.channels import Channels
from backends.slurm.ssh.connection import Connection, connect, unavailable
from backends.slurm.ssh.installation import NOT_FOUND_CODES, Installation
from backends.spec import Site

BACK_OFF_FIRST, BACK_OFF_MOST = 1.0, 60.0
"""Seconds before a site that could not be reached is tried again; doubled per failure."""
REFUSED_ALONE_TRIES = 20
REFUSED_PAUSE_MOST = 1.0
"""A server may count a session for a moment after its channel closed; on a busy host the moment can be seconds."""


class SshShell:
    """One kept connection, opened by the first command and again after a loss. At most one login per version."""

    def __init__(self, site: Site, credentials: CredentialSource, entry: bytes) -> None:
        self._site = site
        self._credentials = credentials
        self._installation = Installation(entry)
        self._installed = False
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._channels = Channels()
        self._refused: tuple[int, AuthenticationFailed | ChallengeRequired] | None = None
        self._failure: SiteUnavailable | None = None
        self._pause = 0.0
        self._retry_at = 0.0
        self._address = Address(site.host or "", site.port or PORT)

    async def run(self, verb: str, *words: str, stdin: bytes = b"", time_limit: float = 60) -> Completed:
        """See `Shell.run`."""
        command = " ".join([self._installation.path, *(encode(word) for word in (verb, *words))])
        done = await self._execute(command, stdin, time_limit)
        unsure = not self._installed and done.code != 0
        if (unsure or done.code in NOT_FOUND_CODES) and await self._install(time_limit):
            done = await self._execute(command, stdin, time_limit)
        self._installed = self._installed or done.code == 0
        return done

    async def aclose(self) -> None:
        """See `Shell.aclose`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def _install(self, time_limit: float) -> bool:
        """Bring the script if it is missing; True when it was and the command has to be run again."""
        probed = await self._execute(self._installation.probe, b"", time_limit)
        if not self._installation.missing(probed):
            self._installed = True
            return False
        uploaded = await self._execute(self._installation.upload, self._installation.script, time_limit)
        self._installed = True
        return self._installation.check(uploaded, str(self._address))

    async def _execute(self, command: str, stdin: bytes, time_limit: float) -> Completed:
        alone = 0
        while True:
            async with self._channels:
                connection = await self._connected()
                try:
                    async with asyncio.timeout(time_limit):
                        return await self._over(connection, command, stdin)
                except asyncssh.ChannelOpenError as error:
                    if error.code == OPEN_REQUEST_SESSION_FAILED:  # sent, and the answer lost: it may have run
                        raise unavailable(error, self._address, time_limit) from error
                    if not connection.is_open():
                        alone += 1
                    elif not self._channels.refused():
                        alone += 1
                        await asyncio.sleep(min(REFUSED_PAUSE_MOST, 0.02 * 2**alone))
                    if alone >= REFUSED_ALONE_TRIES:
                        raise unavailable(error, self._address, time_limit) from error
                except TimeoutError as error:
                    raise SiteUnavailable(
                        f"A command on {self._address} did not end within {time_limit:g} s. It is tried again."
                    ) from error
                except (asyncssh.Error, OSError) as error:
                    raise unavailable(error, self._address, time_limit) from error

    async def _over(self, connection: Connection, command: str, stdin: bytes) -> Completed:
        process = await _opened(connection, command)
        try:
            stdout, stderr = await process.communicate(stdin)
            if process.exit_status is None and process.exit_signal is None:
                raise SiteUnavailable(f"{self._address} closed the connection while a command ran. It is tried again.")
            process.close()
            await process.wait_closed()  # only then the server has counted the session down
            return Completed(process.returncode, stdout or b"", stderr or b"")
        finally:
            process.close()

    async def _connected(self) -> Connection:
        async with self._connecting:  # of many tasks one logs in
            if self._connection is not None and self._connection.is_open():
                return self._connection
            if self._connection is not None:
                self._connection.close()  # the jump below may still be open
                self._connection = None
            credential = await self._credentials.get()
            if self._refused is not None and self._refused[0] == credential.version:
                refusal = self._refused[1]
                raise type(refusal)(refusal.message, text=refusal.text)
            now = asyncio.get_running_loop().time()
            if self._failure is not None and now < self._retry_at:
                raise type(self._failure)(self._failure.message, text=self._failure.text)
            try:
                self._connection = await connect(self._site, credential)
            except (AuthenticationFailed, ChallengeRequired) as error:
                self._refused = (credential.version, error)
                if isinstance(error, AuthenticationFailed):
                    await self._credentials.refused(credential, error.message)
                raise
            except SiteUnavailable as error:
                self._pause = min(BACK_OFF_MOST, self._pause * 2 or BACK_OFF_FIRST)
                self._retry_at = asyncio.get_running_loop().time() + self._pause
                self._failure = error
                raise
            self._failure, self._pause = None, 0.0
            return self._connection


async def _opened(connection: Connection, command: str) -> Any:
    """Open a session; one that opens after we were cancelled is closed, for the server counts it."""
    opening = asyncio.ensure_future(connection.top.create_process(command, encoding=None))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise


def _close_late(opening: "asyncio.Future[Any]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
