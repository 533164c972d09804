"""The backend contract over a UNICORE/X server."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from posixpath import normpath

from backends.errors import BackendError, JobNotFound, SiteUnavailable, SubmitUncertain
from backends.host.evidence import REVOKED
from backends.spec import (
    CodeBundle,
    DirectoryGone,
    FileArea,
    FileInfo,
    Found,
    Handle,
    JobRef,
    JobSpec,
    JobStatus,
    Revoked,
    Site,
    SiteInfo,
)
from backends.unicore import login_commands
from backends.unicore.answers import Forbidden, ReplyLost, ServerError
from backends.unicore.description import run_tag
from backends.unicore.files import Directory, Entry
from backends.unicore.jobs import Jobs, Look, job_id
from backends.unicore.links import NAME as LINKS
from backends.unicore.links import links_of
from backends.unicore.locks import Locks
from backends.unicore.login_commands import LoginCommands
from backends.unicore.notifications import Notifications
from backends.unicore.orphans import Orphans
from backends.unicore.preparation import FENCE, TICKET, Preparation, laid, refused_early, verify
from backends.unicore.seizure import seize_on_login_node
from backends.unicore.survey import Limits, survey
from backends.unicore.transport import Channel
from backends.unicore.watch import Watch

SECRETS = "env"
START_SHOWS_SECONDS = 1.0
REMEMBERED = 1000


class UnicoreBackend:
    """See `backends.backend.Backend`. Each attempt is a job of its own with its own directory, which holds `code/`,
    `inputs/` and `outputs/`, too: both areas are that directory. The handle's location is the URL of the job, and the
    id of a JobRef the last word of that, whatever the batch system behind UNICORE calls it."""

    def __init__(self, channel: Channel, site: Site) -> None:
        self._channel = channel
        self._site = site
        self._jobs = Jobs(channel)
        self._watch = Watch(channel, self._jobs)
        self._preparing = Locks()
        self._limits = Limits(channel)
        self._notifications = Notifications(channel)
        self._orphans = Orphans(channel.base, self._jobs)
        self._started: dict[str, None] = {}
        """Jobs whose start the server took from us, the latest last."""

    async def aclose(self) -> None:
        await self._channel.aclose()

    async def check(self) -> SiteInfo:
        return await survey(self._channel, self._jobs, self._site)

    async def stage(self, bundle: CodeBundle) -> None:
        """The code travels with each attempt; here it is only verified."""
        await verify(bundle)

    async def prepare(self, spec: JobSpec) -> Handle:
        async with self._preparing.of(spec.tag):
            preparation = Preparation(self._jobs, spec, self._site, self._limits)
            job, look, fresh = await preparation.job()
            handle = self._handle(spec.tag, job)
            directory = Directory(self._channel, job)
            there: Mapping[str, Entry] = {}
            if not fresh:
                with suppress(JobNotFound):
                    there = await directory.list()
            if look.started and not laid(there):
                raise refused_early(look)
            if not laid(there):
                try:
                    await preparation.fill(directory, there)
                except JobNotFound as error:
                    message = "The site forgot the job that was just prepared; it is made anew."
                    raise SiteUnavailable(message, text=error.text) from None
            return handle

    def _handle(self, tag: str, job: str) -> Handle:
        return Handle(tag, f"{self._channel.base}/jobs/{job}")

    async def start(self, handle: Handle) -> JobRef:
        job = job_id(handle)
        try:
            await self._jobs.start(job)
        except Forbidden:
            raise
        except JobNotFound as error:
            raise SubmitUncertain("The site no longer knows the prepared job.", text=error.text) from None
        except (ReplyLost, ServerError) as error:
            # Also of a job that the server forgot when it was killed: the fence decides.
            await self._surely_started(job, error)
        self._started[job] = None
        while len(self._started) > REMEMBERED:
            del self._started[next(iter(self._started))]
        return JobRef(job, handle)

    async def _surely_started(self, job: str, error: SiteUnavailable) -> None:
        """The answer to a start was lost, or no good: the state of the job tells, or nobody."""
        try:
            look = await self._jobs.look(job)
        except (SiteUnavailable, JobNotFound):
            look = Look("")
        if not look.status or not look.started:
            raise SubmitUncertain(f"It is not known whether the start arrived: {error.message}", text=error.text)

    async def find(self, tag: str) -> Found:
        jobs = await self._jobs.tagged(tag)
        if any(not look.started and job not in self._started for job, look in jobs):
            # Another gateway may have started it a moment ago, which the server shows a little later.
            await asyncio.sleep(START_SHOWS_SECONDS)
            jobs = await self._jobs.tagged(tag)
        refs = [JobRef(job, self._handle(tag, job)) for job, look in jobs if await self._was_started(job, look)]
        # A job may be absent from the list for a moment, and for good after a server was killed.
        return Found(tuple(refs), conclusive=bool(jobs))

    async def _was_started(self, job: str, look: Look) -> bool:
        return look.started or job in self._started or await self._passed(job)

    async def _passed(self, job: str) -> bool:
        """Whether a copy of it runs although the server, which was killed, shows it as not started."""
        with suppress(JobNotFound, ServerError):
            return any(_fences(await Directory(self._channel, job).list()))
        return False

    async def unstarted(self, known: Collection[str]) -> Sequence[Handle]:
        """See `backends.backend.Unstarted`."""
        return [handle for handle in await self._orphans.unstarted(known) if job_id(handle) not in self._started]

    async def revoke(self, handle: Handle) -> Revoked | JobRef | DirectoryGone:
        job = job_id(handle)
        try:
            fences = await self._seize(Directory(self._channel, job))
        except Forbidden as error:
            raise SiteUnavailable(f"The fence cannot be looked at: {error.message}", text=error.text) from None
        except (JobNotFound, ServerError) as error:
            return await self._forgotten(handle, error)
        return self._verdict(handle, fences)

    async def _seize(self, directory: Directory) -> Sequence[str]:
        await directory.rename(TICKET, FENCE + REVOKED)
        fences = _fences(await directory.list())
        if not fences:
            # There never was a ticket, or somebody removed it; with this in its way no copy goes on.
            await directory.write(FENCE + REVOKED, b"revoked\n")
            fences = _fences(await directory.list())
        return fences

    def _verdict(self, handle: Handle, fences: Sequence[str]) -> Revoked | JobRef:
        if any(fence != REVOKED for fence in fences):
            return JobRef(job_id(handle), handle)
        if REVOKED in fences:
            return Revoked()
        raise SiteUnavailable("The fence is neither ours nor a job's yet; it is looked at again.")

    async def _forgotten(self, handle: Handle, error: BackendError) -> Revoked | JobRef | DirectoryGone:
        """A server that was killed may know the job and not its directory, or the other way round. The login node
        looks at the disk; where it cannot, the server's word counts when it knows neither."""
        job, known = job_id(handle), not isinstance(error, JobNotFound)
        with suppress(JobNotFound):
            await self._jobs.look(job)
            known = True
        try:
            fences = await seize_on_login_node(self._channel, self._jobs, job)
        except (SiteUnavailable, JobNotFound) as seized:
            if known:
                raise SiteUnavailable(f"The fence cannot be looked at: {seized.message}", text=seized.text) from None
            return DirectoryGone()
        return DirectoryGone() if fences is None else self._verdict(handle, fences)

    async def poll(self, refs: Sequence[JobRef]) -> Mapping[JobRef, JobStatus]:
        """A job in turn, for UNICORE has no question for several: one small GET each, as a rule."""
        return await self._watch.sweep(refs)

    async def told(self, ref: JobRef, authorization: str, body: bytes) -> bool:
        """See `backends.backend.Notified`."""
        genuine = await self._notifications.genuine(job_id(ref.handle), authorization, body)
        if genuine:
            self._watch.hear(ref)
        return genuine

    async def cancel(self, ref: JobRef) -> None:
        with suppress(JobNotFound):
            await self._jobs.abort(job_id(ref.handle))
        self._watch.hear(ref)

    async def finish(self, handle: Handle) -> None:
        job = job_id(handle)
        directory = Directory(self._channel, job)
        with suppress(JobNotFound):  # a directory that is gone has neither commands nor secrets
            there = await directory.list()
            try:
                if "after.sh" in there:
                    await self._commands(handle, directory).run("after")
            finally:
                if SECRETS in there:
                    await directory.remove(SECRETS)

    def _commands(self, handle: Handle, directory: Directory) -> LoginCommands:
        limit = int(str(self._site.options.get("loginTimeLimit", login_commands.LIMIT)))
        return LoginCommands(self._jobs, directory, (_run_tag(handle), handle.tag), limit)

    async def stat(self, handle: Handle, path: str, area: FileArea = "attempt") -> FileInfo:
        directory, path = await self._inside(handle, path)
        return _info(path, (await directory.stat(path))[0])

    async def list(self, handle: Handle, path: str = ".", area: FileArea = "attempt") -> Sequence[FileInfo]:
        directory, path = await self._inside(handle, path)
        found = await directory.list(path)
        return sorted((_info(entry.path, entry) for entry in found.values()), key=lambda info: info.path)

    async def read(self, handle: Handle, path: str, offset: int, limit: int, area: FileArea = "attempt") -> bytes:
        directory, path = await self._inside(handle, path)
        if path == SECRETS:
            raise JobNotFound("Tokens and secrets are for the job alone.")
        return await directory.read(path, offset, limit)

    async def _inside(self, handle: Handle, path: str) -> tuple[Directory, str]:
        """Raises JobNotFound when a path leaves the directory, by itself or over a link that the job script listed:
        at its start, and at its end where it could."""
        directory, path = Directory(self._channel, job_id(handle)), normpath(path)
        if path.startswith("/") or path == ".." or path.startswith("../"):
            raise JobNotFound(f"{path} leaves its directory: only files of the run can be read.")
        links = None
        if "/" in path or path not in _OWN:
            with suppress(JobNotFound):
                links = links_of((await directory.read(LINKS, 0, MOST_LINKS)).decode("utf-8", "surrogateescape"))
        if links is not None and links.leads_out(path):
            raise JobNotFound(f"{path} is a link that leaves its directory: only files of the run can be read.")
        return directory, path

    async def remove(self, handle: Handle, area: FileArea = "run") -> None:
        """Without a location, what an interrupted `prepare` left is found by its tag."""
        jobs = {job_id(handle)} if handle.location else set()
        if area == "run" or not jobs:
            jobs |= {job for job, _ in await self._jobs.tagged(_run_tag(handle) if area == "run" else handle.tag)}
        for job in jobs:
            await self._jobs.remove(job)


MOST_LINKS = 4 << 20
_OWN = frozenset({".", "mantik.log", "job.sh", "exit", "env", "stdout", "stderr", "before.log", "after.log"})
"""Files that the job script and the server write."""


def _fences(there: Mapping[str, Entry]) -> list[str]:
    return [name.removeprefix(FENCE) for name in there if name.startswith(FENCE)]


def _run_tag(handle: Handle) -> str:
    return run_tag(handle.tag.removeprefix("mantik-").rpartition("-")[0])


def _info(path: str, entry: Entry) -> FileInfo:
    return FileInfo(path, entry.size, entry.is_directory, entry.modified_at)
