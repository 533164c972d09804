"""`Shell` on this machine: the entry script as a child process."""

import asyncio
import os
from importlib.resources import files
from pathlib import Path

from backends.errors import SiteUnavailable
from backends.host.shell import Completed
from backends.host.words import encode

KEPT = ("HOME", "USER", "LOGNAME", "PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SHELL")
"""All of the gateway's environment that a command or job sees: none of its secrets."""


def entry_script() -> bytes:
    """The bytes of the script that does all work on a host."""
    return files("backends.host").joinpath("entry.sh").read_bytes()


class LocalShell:
    """See `Shell`. Runs as the gateway's own account."""

    def __init__(self) -> None:
        self._path = Path(str(files("backends.host").joinpath("entry.sh")))
        self._channels = asyncio.Semaphore(6)

    async def run(self, verb: str, *words: str, stdin: bytes = b"", time_limit: float = 60) -> Completed:
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        command = ["bash", str(self._path), *(encode(word) for word in (verb, *words))]
        async with self._channels:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
            )
            try:
                async with asyncio.timeout(time_limit):
                    out, err = await process.communicate(stdin)
            except TimeoutError:
                raise SiteUnavailable(f"A command on this machine did not end within {time_limit:g} s.") from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        return Completed(process.returncode or 0, out, err)

    async def aclose(self) -> None:
        """Nothing is kept open."""
