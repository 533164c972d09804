"""A connection to the fake site."""

import hashlib
from collections.abc import Mapping, Sequence
from posixpath import basename, dirname, normpath

from backends.errors import InvalidJob, JobNotFound, SubmitUncertain
from backends.fake.job import EPOCH, FakeAttempt
from backends.fake.site import REVOKED, FakeSite
from backends.reasons import Reason
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
    Phase,
    Revoked,
    SiteInfo,
)


class FakeBackend:
    """See `backends.backend.Backend`."""

    def __init__(self, site: FakeSite) -> None:
        self.site = site
        self._around = site.faults.around

    async def check(self) -> SiteInfo:
        async with self._around("check"):
            site = self.site
            return SiteInfo("fake", "fakehost", "1", site.root, site.queues, site.accounts, 1 << 40, 1 << 20, True)

    async def stage(self, bundle: CodeBundle) -> None:
        async with self._around("stage"):
            data = bundle.path.read_bytes()
            if hashlib.sha256(data).hexdigest() != bundle.sha256:
                raise InvalidJob("The code arrived damaged.", reason=Reason.STAGE_IN_FAILED)
            self.site.cache[bundle.sha256] = len(data)

    async def prepare(self, spec: JobSpec) -> Handle:
        async with self._around("prepare"):
            if spec.code.sha256 not in self.site.cache:
                raise InvalidJob("The code is not staged.", reason=Reason.STAGE_IN_FAILED)
            location = self._location(spec.tag)
            run = self.site.runs[spec.run_id]
            attempt = self.site.attempts.setdefault(location, FakeAttempt(location, run, str(spec.attempt)))
            async with attempt.serial:
                if attempt.job is None and not attempt.fences:
                    attempt.script, attempt.environment = spec.job.script, dict(spec.environment)
                attempt.after_commands = spec.job.login_commands_after
                if attempt.before is None:
                    attempt.before = await self.site.login_commands(attempt, spec.job.login_commands_before)
                if attempt.before:
                    raise InvalidJob(attempt.before, reason=Reason.PREPARE_FAILED, text=attempt.before)
                if not attempt.laid:
                    attempt.laid = attempt.ticket = True
            return Handle(spec.tag, location)

    async def start(self, handle: Handle) -> JobRef:
        async with self._around("start"):
            attempt = self.site.attempts.get(handle.location)
            if attempt is None:
                raise SubmitUncertain("The attempt's directory is gone from the site.")
            if attempt.job is None:
                if not attempt.ticket:
                    raise SubmitUncertain("The attempt was revoked; nothing was submitted.")
                attempt.job = self.site.submit(handle)
            return attempt.job.ref

    async def find(self, tag: str) -> Found:
        async with self._around("find"):
            refs = tuple(job.ref for job in self.site.jobs.values() if job.ref.handle.tag == tag)
            return Found(refs, conclusive=True)

    async def revoke(self, handle: Handle) -> Revoked | JobRef | DirectoryGone:
        async with self._around("revoke"):
            attempt = self.site.attempts.get(handle.location)
            if attempt is None:
                return DirectoryGone()
            attempt.ticket = attempt.ticket or not attempt.laid
            attempt.laid = True
            attempt.rename_ticket(REVOKED)
            return Revoked() if REVOKED in attempt.fences else JobRef(attempt.fences[0], handle)

    async def poll(self, refs: Sequence[JobRef]) -> Mapping[JobRef, JobStatus]:
        async with self._around("poll"):
            return {ref: self._status(ref) for ref in refs}

    def _status(self, ref: JobRef) -> JobStatus:
        job = self.site.jobs.get(ref.id)
        attempt = self.site.attempts.get(ref.handle.location)
        name = f"{attempt.name}/mantik.log" if attempt else ""
        log = attempt.run.contents.get(name) if attempt else None
        common = {
            "log_size": None if log is None else len(log),
            "log_identity": "" if attempt is None or log is None else attempt.run.identities[name],
            "fence": attempt.fences[0] if attempt and attempt.fences else None,
        }
        if job is None:
            behind = self.site.accounting.get(ref.id, "")
            return JobStatus(ref, Phase.MISSING, behind, **common)  # type: ignore[arg-type]
        return JobStatus(
            ref,
            job.phase,
            site_state=job.state,
            pending_reason=job.pending_reason,
            restarts=job.restarts,
            submitted_at=EPOCH,
            started_at=None if job.phase is Phase.QUEUED else EPOCH,
            ended_at=EPOCH if job.phase is Phase.ENDED else None,
            account=job.account,
            outcome=job.outcome,
            **common,  # type: ignore[arg-type]
        )

    async def cancel(self, ref: JobRef) -> None:
        async with self._around("cancel"):
            if job := self.site.jobs.get(ref.id):
                self.site.cancel(job)

    async def finish(self, handle: Handle) -> None:
        async with self._around("finish"):
            attempt = self.site.attempts.get(handle.location)
            if attempt is None:
                return
            async with attempt.serial:
                if attempt.after is None:
                    attempt.after = await self.site.login_commands(attempt, attempt.after_commands)
                attempt.environment = None
            if attempt.after:
                raise InvalidJob(attempt.after, reason=Reason.PREPARE_FAILED, text=attempt.after)

    async def stat(self, handle: Handle, path: str, area: FileArea = "attempt") -> FileInfo:
        async with self._around("stat"):
            files, identities, path = self._area(handle, path, area)
            return _info(files, identities, path)

    async def list(self, handle: Handle, path: str = ".", area: FileArea = "attempt") -> Sequence[FileInfo]:
        async with self._around("list"):
            files, identities, path = self._area(handle, path, area)
            prefix = "" if path == "." else f"{path}/"
            below = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
            if not below and path != ".":
                raise JobNotFound(f"The site has no such directory: {path}.")
            names = sorted({name.partition("/")[0] for name in below})
            return [_info(files, identities, prefix + name) for name in names]

    async def read(self, handle: Handle, path: str, offset: int, limit: int, area: FileArea = "attempt") -> bytes:
        async with self._around("read"):
            files, _, path = self._area(handle, path, area)
            if path not in files or basename(path) == "env":
                raise JobNotFound(f"The site has no such file: {path}.")
            return bytes(files[path][offset : offset + limit])

    async def remove(self, handle: Handle, area: FileArea = "run") -> None:
        async with self._around("remove"):
            location = handle.location or self._location(handle.tag)
            if area == "attempt":
                self.site.attempts.pop(location, None)
                return
            top = dirname(location)
            self.site.runs.pop(basename(top), None)
            for location in [location for location in self.site.attempts if dirname(location) == top]:
                del self.site.attempts[location]

    def _location(self, tag: str) -> str:
        run, _, attempt = tag.removeprefix("mantik-").rpartition("-")
        return f"{self.site.root}/{run}/{attempt}"

    def _area(self, handle: Handle, path: str, area: FileArea) -> tuple[dict[str, bytearray], dict[str, str], str]:
        """The files below an area and their identities, by path, and the path asked for, which stays inside."""
        attempt = self.site.attempts.get(handle.location)
        path = normpath(path)
        if attempt is None or path.startswith(("/", "..")) or path in attempt.run.links:
            raise JobNotFound(f"The site has no such file: {path}.")
        if area == "run":
            return attempt.run.contents, attempt.run.identities, path
        own = f"{attempt.name}/"
        files = {n.removeprefix(own): data for n, data in attempt.run.contents.items() if n.startswith(own)}
        files["job.sh"] = bytearray(attempt.script)
        if attempt.environment is not None:
            files["env"] = bytearray()
        identities = {n.removeprefix(own): i for n, i in attempt.run.identities.items() if n.startswith(own)}
        return files, identities, path


def _info(files: Mapping[str, bytearray], identities: Mapping[str, str], path: str) -> FileInfo:
    if path in files:
        return FileInfo(path, len(files[path]), False, EPOCH, identities.get(path, ""))
    if path == "." or any(name.startswith(f"{path}/") for name in files):
        return FileInfo(path, 0, True, EPOCH)
    raise JobNotFound(f"The site has no such file: {path}.")
