"""Git as a child process: nothing of the gateway's own environment or configuration reaches it."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

PIECE = 2**18
BLOCK = 512
"""Bytes in which a POSIX shell counts `ulimit -f`."""

_PASSED_ON = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")
_SET = {
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "MANTIK_ALWAYS": "always",
}


async def run_git(
    args: Sequence[str], time_limit: float, environment: dict[str, str] | None = None, largest: int | None = None
) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors; code 124 when it took longer than `time_limit` seconds.

    No file may get more than `largest` bytes: who writes beyond ends by the signal XFSZ."""
    try:
        async with _started(args, environment, largest) as process, asyncio.timeout(time_limit):
            out, err = await process.communicate()
            return process.returncode or 0, out, err
    except TimeoutError:
        return 124, b"", f"time limit of {time_limit:.0f} s".encode()


async def chunks_of_git(args: Sequence[str], time_limit: float, errors: bytearray) -> AsyncGenerator[bytes]:
    """The output in pieces of PIECE bytes, the last one shorter; what git says of errors goes to `errors`.

    Raises ChildProcessError when git failed or took longer than `time_limit` seconds in all."""
    until = asyncio.get_running_loop().time() + time_limit
    async with _started(args, None) as process:
        said = asyncio.ensure_future(process.stderr.read())
        try:
            last = False
            while not last:
                async with asyncio.timeout_at(until):
                    try:
                        piece = await process.stdout.readexactly(PIECE)
                    except asyncio.IncompleteReadError as end:
                        piece, last = end.partial, True
                if piece:
                    yield piece
            async with asyncio.timeout_at(until):
                errors += await said
                await process.wait()
        except TimeoutError:
            errors += f"time limit of {time_limit:.0f} s".encode()
            raise ChildProcessError from None
        finally:
            said.cancel()
        if process.returncode:
            raise ChildProcessError


@asynccontextmanager
async def _started(
    args: Sequence[str], environment: dict[str, str] | None, largest: int | None = None
) -> AsyncIterator[Any]:
    """A running git in a process group of its own, which is gone at the end with all that it started."""
    limited = ("sh", "-c", 'ulimit -f "$0" && exec "$@"', str(largest // BLOCK)) if largest is not None else ()
    process = await asyncio.create_subprocess_exec(
        *(*limited, "git", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*", *args),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if k in _PASSED_ON} | _SET | (environment or {}),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
