"""Follows jobs: as a rule one small GET for each job and sweep, its status or its directory in turn.

A listing of the directory tells three things at once: the size of the log, who passed the fence, and whether the job
wrote its end. The status tells what waits, and what ended without a word. A log that grows is a sign of life, so then
only the directory is looked at; a silent job is asked for its status and its directory in turn. What one of them says
of a change makes the other one be asked in the same sweep. When many jobs are new at once, as after a restart, their
directories are looked at in the next sweep.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from backends.errors import JobNotFound
from backends.host.evidence import Files
from backends.spec import JobRef, JobStatus, Phase
from backends.unicore.answers import ServerError
from backends.unicore.files import Directory, Entry
from backends.unicore.jobs import FAILED, FIELDS, READY, Jobs, job_id
from backends.unicore.preparation import FENCE
from backends.unicore.seen import EXIT, Seen, files_of, own_files, status_of
from backends.unicore.slurm_details import details_record
from backends.unicore.transport import Channel

AT_ONCE = 8
REMEMBERED = 5000
"""Jobs whose last look is kept; of a forgotten one both are asked again."""
FEW = 8
"""New jobs of one sweep that are asked for both at once."""
CROWD = 500
"""Files in a job's directory from which on it is not listed again."""
LIFE_SIGN_SWEEPS = 4
"""A growing log puts off the question for the status so many sweeps."""
SILENT = timedelta(seconds=30)
"""A live job that shows nothing new for so long is asked about at the batch system behind UNICORE: UNICORE itself may
go on for two minutes after the batch system killed a job."""
DETAILS_EVERY = timedelta(seconds=60)
NO_DETAILS_EVERY = timedelta(minutes=30)
PACES = {False: (0.05, timedelta(seconds=30)), True: (0.02, timedelta(seconds=5))}
"""A job (that has begun: True) is asked about after so large a share of the time in which it showed nothing new, and
after so long at the latest: one that waited for an hour need not be asked every two seconds because others change."""
KEEP_AFTER, KEEP_AGAIN = timedelta(minutes=1), timedelta(hours=6)
"""A burst of submissions has other questions than how long the site keeps a job; its own default is a day."""
START_AGAIN = timedelta(seconds=5)
"""A server that was killed just after it took a start shows READY again; the start is repeated, the fence guards it."""


@dataclass(slots=True)
class Watch:
    """The jobs of one connection. Nothing here is needed after a restart: it saves questions only."""

    channel: Channel
    jobs: Jobs
    _seen: dict[JobRef, Seen] = field(default_factory=dict)
    _told: set[JobRef] = field(default_factory=set)
    _many_new: bool = False
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def hear(self, ref: JobRef) -> None:
        """The site told of a change: the next sweep asks for its status. Repeatable; nothing is believed."""
        if len(self._told) < REMEMBERED:
            self._told.add(ref)

    async def sweep(self, refs: Sequence[JobRef]) -> Mapping[JobRef, JobStatus]:
        """A status for each. Raises what concerns the whole site; also when it fails for every job that is asked about.
        A job that is not due has the status of the last look."""
        now, wanted = self.channel.now, list(dict.fromkeys(refs))
        statuses = {ref: status_of(ref, self._seen[ref], now) for ref in wanted if not self._is_due(ref, now)}
        due = [ref for ref in wanted if ref not in statuses]
        self._many_new = sum(ref not in self._seen for ref in due) > FEW
        found = await asyncio.gather(*(self._one(ref) for ref in due))
        if found and all(isinstance(status, ServerError) for status in found):
            raise next(status for status in found if isinstance(status, ServerError))
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        for ref, one in zip(due, found, strict=True):
            statuses[ref] = one if isinstance(one, JobStatus) else JobStatus(ref, Phase.MISSING)
        return statuses

    def _is_due(self, ref: JobRef, now: datetime) -> bool:
        seen = self._seen.get(ref)
        return seen is None or ref in self._told or _due(seen, now)

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
        status = status_of(ref, seen, self.channel.now)
        if status.phase in (Phase.ENDED, Phase.MISSING):
            self._seen.pop(ref, None)
        else:
            self._seen.pop(ref, None)
            self._seen[ref] = seen
        return status

    async def _asked(self, ref: JobRef) -> Seen:
        job, now = job_id(ref.handle), self.channel.now
        seen = self._seen.get(ref)
        told = ref in self._told
        self._told.discard(ref)
        if seen is None:
            seen = Seen(first_at=now, changed_at=now)
            await self._first(job, seen)
        else:
            if told:
                seen.changed_at, seen.looked_at_files, seen.life_signs = now, True, 0
            seen.asked_at = None  # a question that fails is asked again by the next sweep
            await (self._running if seen.begun else self._waiting)(job, seen, now)
        if seen.look is not None and seen.look.status == FAILED and seen.details is None:
            await self._details(job, seen, now)
        await self._start_again(job, seen, now)
        await self._keep(job, seen, now)
        seen.asked_at = time.monotonic()
        return seen

    async def _first(self, job: str, seen: Seen) -> None:
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
        if seen.look is None or seen.look.ended or (seen.look.started and not self._many_new):
            await self._files(job, seen)
        elif not seen.look.started:
            seen.files = Files()

    async def _waiting(self, job: str, seen: Seen, now: datetime) -> None:
        """A job that has not begun as far as we know."""
        if seen.look is not None and seen.look.status != READY and self._turn_of_details(seen, now):
            await self._details(job, seen, now)
            if not seen.no_details:
                return
        if seen.files is None and seen.look is not None:
            await self._files(job, seen)
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
        if self._turn_of_details(seen, now):
            await self._details(job, seen, now)
            if seen.details is not None and seen.details.phase is Phase.ENDED:
                await self._files(job, seen)
            if not seen.no_details:
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
        there = await self._own_or_all(directory, seen)
        exit_file = there.get(EXIT)
        text = await directory.read_seen(EXIT, 0, min(exit_file.size, 4096)) if exit_file else b""
        seen.files = files_of(there, text)
        passed = [entry for name, entry in there.items() if name.startswith(FENCE)]
        seen.fence_at = min((entry.modified_at for entry in passed), default=None)

    async def _own_or_all(self, directory: Directory, seen: Seen) -> Mapping[str, Entry]:
        """Thousands of files make a listing of a megabyte; those that we made are few."""
        if seen.crowded and seen.files and seen.files.fences and (own := await directory.some(own_files(seen.files))):
            return own
        there = await directory.list()
        seen.crowded = len(there) > CROWD
        return there

    # -- what is silent

    def _turn_of_details(self, seen: Seen, now: datetime) -> bool:
        """They are asked for instead of the status or the directory, but never twice in a row."""
        if seen.details_asked or seen.changed_at is None or now - seen.changed_at < SILENT:
            seen.details_asked = False
            return False
        pause = NO_DETAILS_EVERY if seen.no_details else DETAILS_EVERY
        seen.details_asked = seen.details_at is None or now - seen.details_at >= pause
        return seen.details_asked

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
        if seen.look is None or (seen.kept_at is not None and now - seen.kept_at < KEEP_AGAIN):
            return
        if seen.first_at is None or now - seen.first_at < KEEP_AFTER:
            return
        if await self.jobs.keep(job, seen.look):
            seen.kept_at = now


def _due(seen: Seen, now: datetime) -> bool:
    if seen.asked_at is None or seen.changed_at is None:
        return True
    share, most = PACES[seen.begun]
    return time.monotonic() - seen.asked_at >= min(most, share * abs(now - seen.changed_at)).total_seconds()
