"""Login-node commands: a job of their own on the login node, in the attempt's directory, once."""

import asyncio
import re
from contextlib import suppress
from importlib.resources import files

from backends.errors import InvalidJob, JobNotFound, SiteUnavailable
from backends.reasons import Reason
from backends.unicore.files import Directory, Entry
from backends.unicore.jobs import Jobs, Look

LIMIT = 1800
"""Seconds, unless the site has `loginTimeLimit`."""
GRACE = 60
"""Seconds after the limit until commands without an end count as killed."""
LOG_TAIL = 4000
WAIT_FIRST, WAIT_MOST = 0.2, 5.0
FIELDS = {"before": "PreRunCommandOnLoginNode", "after": "PostRunCommandOnLoginNode"}
_PLAIN = re.compile(r"/[A-Za-z0-9_./=+@-]+")
"""Arguments reach a shell of the site without quotes."""


def login_script() -> bytes:
    """What runs there, beside `before.sh` and `after.sh`."""
    return files("backends.unicore").joinpath("login.sh").read_bytes()


class LoginCommands:
    """Of one attempt. `tags` are those of its job."""

    def __init__(self, jobs: Jobs, directory: Directory, tags: tuple[str, str], limit: int) -> None:
        self._jobs = jobs
        self._directory = directory
        self._tags = tags
        self._limit = limit

    async def run(self, when: str) -> None:
        """Wait for their end; a repeated call waits for the same ones, or says the same again.

        Raises InvalidJob with reason PREPARE_FAILED when they failed."""
        job, wait = "", WAIT_FIRST
        try:
            while (code := await self._ended(when, job)) is None:
                job = job or await self._helper(when)
                await asyncio.sleep(wait)
                wait = min(WAIT_MOST, wait * 1.5)
        finally:
            if job:
                with suppress(SiteUnavailable):
                    await self._clear(when)
        if code:
            await self._fail(when, code)

    async def _ended(self, when: str, job: str) -> int | None:
        """The exit code; None while they run, or were never begun. 137 when they were killed and left none."""
        there = await self._directory.list()
        if f"{when}.exit" in there:
            text = await self._directory.read(f"{when}.exit", 0, 20)
            return int(text) if text.strip().isdigit() else None
        started = there.get(f"{when}.started")
        if started is None:
            return None
        if self._late(started) or (job and await self._killed(when, job)):
            return 137
        return None

    def _late(self, started: Entry) -> bool:
        return (self._jobs.now - started.modified_at).total_seconds() > self._limit + GRACE

    async def _killed(self, when: str, job: str) -> bool:
        """Whether no helper lives any more although the commands were begun and have not ended."""
        helpers = await self._helpers(when)
        if any(not look.ended for _, look in helpers):
            return False
        return f"{when}.exit" not in await self._directory.list()

    async def _helper(self, when: str) -> str:
        """The helper that is at it, or a new one. Two at once do no harm: one finds that the other began."""
        helpers = await self._helpers(when)
        for job, look in helpers:
            if look.status == "FAILED":
                await self._jobs.remove(job)
                raise SiteUnavailable(f"The site could not run the login-node commands: {look.message}.")
        if helpers:
            return helpers[0][0]
        mount = await self._directory.mount_point()
        if not _PLAIN.fullmatch(mount):
            message = f"Login-node commands cannot be run in {mount}: it has characters that a shell reads."
            raise InvalidJob(message, reason=Reason.PREPARE_FAILED)
        return await self._jobs.make(
            {
                "Executable": "/bin/bash",
                "Arguments": [f"{mount}/login.sh", when, str(self._limit)],
                "Job type": "on_login_node",
                "Name": "mantik",
                "Tags": list(self._helper_tags(when)),
            }
        )

    def _helper_tags(self, when: str) -> tuple[str, str]:
        run, attempt = self._tags
        return run, f"{attempt}-{when}"

    async def _helpers(self, when: str) -> list[tuple[str, Look]]:
        return list(await self._jobs.tagged(self._helper_tags(when)[1]))

    async def _clear(self, when: str) -> None:
        for job, look in await self._helpers(when):
            if look.ended:
                await self._jobs.remove(job)

    async def _fail(self, when: str, code: int) -> None:
        tail = ""
        with suppress(JobNotFound):
            own, _ = await self._directory.stat(f"{when}.log")
            data = await self._directory.read_seen(f"{when}.log", max(0, own.size - LOG_TAIL), own.size)
            tail = data.decode(errors="replace")
        why = f"did not end within {self._limit} s" if code == 124 else f"ended with code {code}"
        last = tail.strip().splitlines()[-1] if tail.strip() else "it printed nothing"
        message = f"Environment.{FIELDS[when]} {why}: {last}"
        raise InvalidJob(message, reason=Reason.PREPARE_FAILED, text=tail)
