"""Follows jobs: as a rule one small GET for each job and sweep, its status or its directory in turn.

A listing of the directory tells three things at once: the size of the log, who passed the fence, and whether the job
wrote its end. The status tells what waits, and what ended without a word. A log that grows is a sign of life, so then
only the directory is looked at; a silent job is asked for its status and its directory in turn. What one of them says
of a change makes the other one be asked in the same sweep.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from backends.errors import JobNotFound
from backends.host.evidence import REVOKED, Files, parse_exit
from backends.host.outcome import COPY_CODES, decide
from backends.host.scheduler import Record
from backends.spec import JobRef, JobStatus, Phase
from backends.unicore.files import Directory, Entry
from backends.unicore.jobs import FAILED, FIELDS, READY, Jobs, Look, job_id
from backends.unicore.preparation import FENCE
from backends.unicore.records import explained, record_of_end
from backends.unicore.slurm_details import details_record
from backends.unicore.transport import Channel, ServerError

AT_ONCE = 8
REMEMBERED = 5000
"""Jobs whose last look is kept; of a forgotten one both are asked again."""
LIFE_SIGN_SWEEPS = 4
"""A growing log puts off the question for the status so many sweeps."""
SILENT = timedelta(seconds=30)
"""A live job that shows nothing new for so long is asked about at the batch system behind UNICORE: UNICORE itself may
go on for two minutes after the batch system killed a job."""
DETAILS_EVERY = timedelta(seconds=60)
NO_DETAILS_EVERY = timedelta(minutes=30)
START_AGAIN = timedelta(seconds=5)
"""A server that was killed just after it took a start shows READY again; the start is repeated, the fence guards it."""
COPY_LIVES = timedelta(days=7)
"""How long the copy that passed the fence is taken to run when the server knows of another copy only."""
_PHASES = {"RUNNING": Phase.RUNNING, "STAGINGOUT": Phase.RUNNING}


@dataclass(slots=True)
class Seen:
    """What is known of one job from the last sweeps."""

    look: Look | None = None
    """None: the server did not know it, or could not tell."""
    files: Files | None = None
    details: Record | None = None
    fence_at: datetime | None = None
    changed_at: datetime | None = None
    """When it last showed something new."""
    details_at: datetime | None = None
    no_details: bool = False
    ready_since: datetime | None = None
    kept_at: datetime | None = None
    looked_at_files: bool = False
    """Whether the directory was what the last sweep asked for."""
    life_signs: int = 0


@dataclass(slots=True)
class Watch:
    """The jobs of one connection. Nothing here is needed after a restart: it saves questions only."""

    channel: Channel
    jobs: Jobs
    _seen: dict[JobRef, Seen] = field(default_factory=dict)
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def sweep(self, refs: Sequence[JobRef]) -> Mapping[JobRef, JobStatus]:
        """A status for each. Raises what concerns the whole site; also when it fails for every job."""
        found = await asyncio.gather(*(self._one(ref) for ref in dict.fromkeys(refs)))
        if found and all(isinstance(status, ServerError) for status in found):
            raise next(status for status in found if isinstance(status, ServerError))
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        pairs = zip(dict.fromkeys(refs), found, strict=True)
        return {ref: one if isinstance(one, JobStatus) else JobStatus(ref, Phase.MISSING) for ref, one in pairs}

    async def _one(self, ref: JobRef) -> JobStatus | ServerError:
        """A job that the server cannot show (500) must not hide the others."""
        async with self._at_once:
            try:
                seen = await self._asked(ref)
            except JobNotFound:
                self._seen.pop(ref, None)
                return JobStatus(ref, Phase.MISSING)
            except ServerError as error:
                self._seen.pop(ref, None)
                return error
        status = _status(ref, seen, self.channel.now)
        if status.phase in (Phase.ENDED, Phase.MISSING):
            self._seen.pop(ref, None)
        else:
            self._seen.pop(ref, None)
            self._seen[ref] = seen
        return status

    async def _asked(self, ref: JobRef) -> Seen:
        job, now = job_id(ref.handle), self.channel.now
        seen = self._seen.get(ref)
        if seen is None:
            seen = Seen(changed_at=now)
            await self._status_then_files(job, seen)
        elif seen.look is None or not _runs(seen):
            await self._waiting(job, seen, now)
        else:
            await self._running(job, seen, now)
        if seen.look is not None and seen.look.status == FAILED and seen.details is None:
            await self._details(job, seen, now)
        await self._start_again(job, seen, now)
        await self._keep(job, seen, now)
        return seen

    async def _status_then_files(self, job: str, seen: Seen) -> None:
        """In this order: what a job that has ended wrote is there when its directory is looked at."""
        try:
            seen.look = await self.jobs.look(job, FIELDS)
        except ServerError:
            seen.look = None  # after a crash some jobs are like that; their files still tell
        except JobNotFound as error:
            seen.look = None
            try:
                await self._files(job, seen)
            except ServerError:
                raise error from None
            return
        if seen.look is None or seen.look.started:
            await self._files(job, seen)
        elif seen.files is None:
            seen.files = Files()

    async def _waiting(self, job: str, seen: Seen, now: datetime) -> None:
        """A job that has not begun as far as we know."""
        if self._details_due(seen, now) and seen.look is not None and seen.look.status != READY:
            await self._details(job, seen, now)
            return
        before = seen.look
        try:
            seen.look = await self.jobs.look(job, FIELDS)
        except ServerError:
            seen.look = None
        # A start that was lost shows READY, while a copy of the site may run already.
        unsure = seen.look is None or seen.look.status == READY
        if unsure or before is None or seen.look is None or seen.look.status != before.status:
            seen.changed_at = now
            await self._files(job, seen)

    async def _running(self, job: str, seen: Seen, now: datetime) -> None:
        if self._details_due(seen, now):
            await self._details(job, seen, now)
            if seen.details is not None and seen.details.phase is Phase.ENDED:
                await self._files(job, seen)
            return
        log = seen.files.log_size if seen.files else None
        if not seen.looked_at_files or (0 < seen.life_signs < LIFE_SIGN_SWEEPS):
            await self._files(job, seen)
            seen.looked_at_files = True
            files = seen.files or Files()
            if files.log_size != log:
                seen.changed_at, seen.life_signs = now, seen.life_signs + 1
            else:
                seen.life_signs = 0
            if files.exit is None:
                return
        # The end that the job wrote counts when the site has let go of it.
        seen.looked_at_files, seen.life_signs = False, 0
        await self._status_then_files_if_new(job, seen)

    async def _status_then_files_if_new(self, job: str, seen: Seen) -> None:
        before = seen.look.status if seen.look else ""
        seen.look = await self.jobs.look(job, FIELDS)
        if seen.look.status != before or seen.look.ended:
            seen.changed_at = self.channel.now
            await self._files(job, seen)

    async def _files(self, job: str, seen: Seen) -> None:
        directory = Directory(self.channel, job)
        there = await directory.list()
        exit_file = there.get("exit")
        text = await directory.read_seen("exit", 0, min(exit_file.size, 4096)) if exit_file else b""
        seen.files = _files_of(there, text)
        passed = [entry for name, entry in there.items() if name.startswith(FENCE)]
        seen.fence_at = min((entry.modified_at for entry in passed), default=None)

    # -- what is silent

    def _details_due(self, seen: Seen, now: datetime) -> bool:
        if seen.changed_at is None or now - seen.changed_at < SILENT:
            return False
        pause = NO_DETAILS_EVERY if seen.no_details else DETAILS_EVERY
        return seen.details_at is None or now - seen.details_at >= pause

    async def _details(self, job: str, seen: Seen, now: datetime) -> None:
        values = await self.jobs.details(job)
        seen.details_at, seen.details = now, details_record(job, values)
        seen.no_details = seen.details is None

    async def _start_again(self, job: str, seen: Seen, now: datetime) -> None:
        if seen.look is None or seen.look.status != READY or (seen.files and seen.files.fences):
            seen.ready_since = None
            return
        seen.ready_since = seen.ready_since or now
        if now - seen.ready_since >= START_AGAIN:
            await self.jobs.start(job)
            seen.ready_since = now

    async def _keep(self, job: str, seen: Seen, now: datetime) -> None:
        if seen.look is None or (seen.kept_at is not None and now - seen.kept_at < timedelta(hours=6)):
            return
        if await self.jobs.keep(job, seen.look):
            seen.kept_at = now


def _runs(seen: Seen) -> bool:
    return seen.look is not None and (seen.look.status in _PHASES or seen.look.ended)


def _files_of(there: Mapping[str, Entry], exit_text: bytes) -> Files:
    log = there.get("mantik.log")
    return Files(
        fences=tuple(sorted(name.removeprefix(FENCE) for name in there if name.startswith(FENCE))),
        exit=parse_exit(exit_text.decode(errors="replace")) if exit_text else None,
        disk_full="disk_full" in there,
        log_size=log.size if log else None,
    )


def _status(ref: JobRef, seen: Seen, now: datetime) -> JobStatus:
    files, look = seen.files or Files(), seen.look
    passed = files.fence
    record = _record(ref, seen)
    status = JobStatus(
        ref=ref,
        phase=Phase.MISSING,
        site_state=look.status if look else "",
        submitted_at=look.submitted_at if look else None,
        log_size=files.log_size,
        # Whoever passed has our directory: there is one job to it, however often the site started that.
        fence=None if passed is None else REVOKED if passed == REVOKED else ref.id,
        usage=_usage(look),
    )
    if _only_a_copy(record, files, passed):
        lives = seen.fence_at is not None and now - seen.fence_at < COPY_LIVES
        return replace(status, phase=Phase.RUNNING if lives else Phase.MISSING)
    outcome = decide(passed or "", record, files)
    if outcome is not None:
        ended = files.exit.ended_at if files.exit else None
        return replace(status, phase=Phase.ENDED, outcome=explained(outcome, look), ended_at=ended)
    if record is None:
        return status
    shown = details if (details := seen.details) is not None else record
    return replace(
        status,
        phase=record.phase,
        pending_reason=shown.pending_reason,
        restarts=shown.restarts,
        started_at=shown.started_at or (seen.fence_at if record.phase is Phase.RUNNING else None),
        nodes=shown.nodes,
        account=shown.account,
    )


def _only_a_copy(record: Record | None, files: Files, passed: str | None) -> bool:
    """Whether the end that the server tells of is that of a copy, and the one that passed the fence may still run."""
    if record is None or files.exit is not None or passed in (None, REVOKED):
        return False
    return record.phase is Phase.ENDED and record.exit_code in COPY_CODES


def _record(ref: JobRef, seen: Seen) -> Record | None:
    """What the server says as a record of a scheduler; the details where they tell of an end that it does not see."""
    look = seen.look
    if look is None:
        return None
    if look.ended:
        return record_of_end(ref.id, look, seen.details)
    # A plain job's script ends well for the batch system, whatever the code; UNICORE will say more in a moment.
    told, files = seen.details, seen.files
    if told is not None and told.phase is Phase.ENDED and (told.reason or (files is not None and files.exit)):
        return told
    passed = files is not None and files.fence not in (None, REVOKED)
    if passed and files is not None and files.exit is not None and not look.started:
        return None  # a server that was killed takes it for not started: what the job itself wrote counts
    phase = _PHASES.get(look.status, Phase.QUEUED)
    if phase is Phase.QUEUED and passed:
        phase = Phase.RUNNING
    return Record(ref.id, phase, look.status)


def _usage(look: Look | None) -> dict[str, str]:
    if look is None:
        return {}
    named = {"elapsed": look.consumed.get("main"), "queued": look.consumed.get("queued"), "batchId": look.batch_id}
    return {name: value for name, value in named.items() if value}
