"""Brings one attempt to the site: a job that waits for its client, and the files in its directory."""

import asyncio
import hashlib
import re
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from backends.errors import InvalidJob, JobNotFound, SiteUnavailable
from backends.host.environment import environment_file, login_script
from backends.reasons import Reason
from backends.spec import CodeBundle, JobSpec, Site
from backends.unicore import login_commands
from backends.unicore.answers import ReplyLost
from backends.unicore.description import of_attempt, run_tag
from backends.unicore.files import Directory, Entry
from backends.unicore.jobs import FIELDS, Jobs, Look
from backends.unicore.limits import refuse_beyond
from backends.unicore.login_commands import LoginCommands
from backends.unicore.reasons import cause_of
from backends.unicore.site_info import Partitions

TICKET = "ticket"
FENCE = "fence."
READY_SECONDS = 120.0
"""How long a job may take until its directory is there."""
WAIT_FIRST, WAIT_MOST = 0.1, 2.0
SOONER = 0.8
"""The first look at a new job comes after so much of the time that the last one took: a server that has much to do is
not asked in vain, and one that got faster is noticed."""
TRIES = 3
_VARIABLE = re.compile(r"(\$\{[A-Za-z_]\w*\}|\$[A-Za-z_]\w*)")


def attempt_files(site: Site, spec: JobSpec) -> dict[str, bytes]:
    """The small files of an attempt, by name; without the ticket."""
    environment = environment_file(spec.environment) + checkpoint_line(site.work_directory, spec.lineage_id)
    files = {"job.sh": spec.job.script, "env": environment}
    for name, commands in (("before.sh", spec.job.login_commands_before), ("after.sh", spec.job.login_commands_after)):
        if commands:
            files[name] = login_script(spec, commands)
            files["login.sh"] = login_commands.login_script()
    return files


def checkpoint_line(work_directory: str, lineage: str) -> bytes:
    """Where a chain of runs keeps what it shares; the job's shell expands `$NAME` in the template."""
    parts = [
        f'"{part}"' if _VARIABLE.fullmatch(part) else shlex.quote(part) if part else ""
        for part in _VARIABLE.split(work_directory)
    ]
    return f"export MANTIK_CHECKPOINT_DIR={''.join(parts)}/lineage/{shlex.quote(lineage)}/checkpoint\n".encode()


def code_name(bundle: CodeBundle) -> str:
    return f"code-{bundle.sha256}.tar.gz"


async def verify(bundle: CodeBundle) -> None:
    """Raises InvalidJob with reason STAGE_IN_FAILED when the bytes are not what the hash says."""
    if await asyncio.to_thread(_digest, bundle.path) != bundle.sha256:
        raise InvalidJob("The code on the gateway's disk is damaged.", reason=Reason.STAGE_IN_FAILED)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Preparation:
    """Of one attempt; every step may be repeated, by any gateway."""

    def __init__(self, jobs: Jobs, spec: JobSpec, site: Site, limits: Callable[[], Awaitable[Partitions]]) -> None:
        self._jobs = jobs
        self._limits = limits
        self._spec = spec
        self._site = site

    async def job(self) -> tuple[str, Look, bool]:
        """The attempt's job, its directory there; made when there is none; and whether it was made just now.

        A job that the server forgot meanwhile (it was killed) is made anew: it never started, for nobody has its
        handle yet. Raises InvalidJob when it asks for more than the site's own limits, before it leaves."""
        for n in range(TRIES):
            found = () if n == 0 and self._spec.untried else await self._jobs.tagged(self._spec.tag)
            try:
                if found:
                    job = found[0][0]
                    return job, await wait_for_directory(self._jobs, job), False
                body = of_attempt(self._spec)
                refuse_beyond(body, await self._limits())
                job = await self._jobs.make(body)
                look = await wait_for_directory(self._jobs, job, new=True)
                if not self._spec.job.login_commands_before:
                    return job, look, True
                # Two gateways at once, after a lost lease: the older job counts, so that commands run once.
                first = (await self._jobs.tagged(self._spec.tag) or [(job, look)])[0][0]
                if first == job:
                    return job, look, True
                await self._jobs.remove(job)
            except (JobNotFound, ReplyLost):
                continue
        raise SiteUnavailable("The site forgot the job that it had just taken; it is tried again.")

    async def fill(self, directory: Directory, there: Mapping[str, Entry]) -> None:
        """Upload what is missing, the ticket last, and verify that all of it arrived."""
        small = attempt_files(self._site, self._spec)
        code = {} if "code" in there else {code_name(self._spec.code): self._spec.code.path}
        await self._arrive(directory, {**small, **code}, there)
        if self._spec.job.login_commands_before:
            try:
                await self._commands(directory).run("before")
            except InvalidJob:
                await directory.remove("env")
                raise
        # Whoever finds it takes the rest for whole. Its name counts, not what is in it.
        await directory.write(TICKET, b"ticket\n")

    async def _arrive(
        self, directory: Directory, wanted: Mapping[str, bytes | Path], there: Mapping[str, Entry]
    ) -> None:
        """Early uploads land elsewhere and a cut one is kept as it is, so that sizes are looked at. The code is named
        by its hash: one of the right size is not sent again, the job compares the hash. All else is sent anew."""
        sizes = {name: len(data) if isinstance(data, bytes) else data.stat().st_size for name, data in wanted.items()}
        missing = {
            name: data
            for name, data in wanted.items()
            if isinstance(data, bytes) or name not in there or there[name].size != sizes[name]
        }
        for _ in range(TRIES):
            await self._upload_all(directory, missing)
            found = await directory.list()
            missing = {name: data for name, data in missing.items() if _size(found, name) != sizes[name]}
            if not missing:
                return
        raise SiteUnavailable(f"{', '.join(missing)} did not arrive whole in {TRIES} tries; it is tried again.")

    async def _upload_all(self, directory: Directory, files: Mapping[str, bytes | Path]) -> None:
        """All have ended when one has failed: none arrives behind the back of a later try."""
        uploads = (self._upload(directory, name, data) for name, data in files.items())
        for error in await asyncio.gather(*uploads, return_exceptions=True):
            if error is not None:
                raise error

    async def _upload(self, directory: Directory, name: str, data: bytes | Path) -> None:
        await directory.write(name, data)
        if name == "env":
            await directory.make_private(name)

    def _commands(self, directory: Directory) -> LoginCommands:
        limit = int(str(self._site.options.get("loginTimeLimit", login_commands.LIMIT)))
        return LoginCommands(self._jobs, directory, (run_tag(self._spec.run_id), self._spec.tag), limit)


def _size(found: Mapping[str, Entry], name: str) -> int | None:
    return found[name].size if name in found else None


def laid(there: Mapping[str, Entry]) -> bool:
    """Whether a ticket lies there, or did."""
    return any(name == TICKET or name.startswith(FENCE) for name in there)


async def wait_for_directory(jobs: Jobs, job: str, *, new: bool = False) -> Look:
    """Until the directory of a job is there, or the job has failed before. Raises SiteUnavailable after
    `READY_SECONDS`, JobNotFound when the server has forgotten the job. `new`: it was made just now."""
    wait, began = WAIT_FIRST, time.monotonic()
    try:
        async with asyncio.timeout(READY_SECONDS):
            if new:
                await asyncio.sleep(jobs.directory_seconds * SOONER)
            while True:
                look = await jobs.look(job, f"{FIELDS},log")
                if look.has_directory or look.started:
                    if new:
                        jobs.directory_seconds = min(WAIT_MOST, time.monotonic() - began)
                    return look
                await asyncio.sleep(wait)
                wait = min(WAIT_MOST, wait * 1.5)
    except TimeoutError:
        raise SiteUnavailable(f"The site made no directory for the job in {READY_SECONDS:g} s.") from None


def refused_early(look: Look) -> InvalidJob:
    """The site refused the job before it could be started."""
    cause = cause_of(look.message, look.exit_code)
    return InvalidJob(cause.sentence, reason=cause.reason, text=look.message)
