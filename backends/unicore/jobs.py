"""Jobs of UNICORE: make, find, look, start, abort, remove."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from backends.errors import InvalidJob, JobNotFound, SiteUnavailable
from backends.spec import Handle
from backends.unicore.answers import ReplyLost, ServerError
from backends.unicore.transport import Channel

FIELDS = "status,statusMessage,exitCode,batchSystemID,consumedTime,submissionTime,terminationTime,tags"
READY, SUCCESSFUL, FAILED = "READY", "SUCCESSFUL", "FAILED"
NOT_STARTED = frozenset({"UNDEFINED", "STAGINGIN", READY})
"""Of a job that waits for its client; UNDEFINED is also shown in the first moments of a job."""
ENDED = frozenset({SUCCESSFUL, FAILED})
MOST = 200
"""Jobs in one answer of the server."""
KEPT = timedelta(days=30)
"""How long job and directory are kept from a look at them on, where the site allows it; its own default is a day."""
KEPT_AT_LEAST = timedelta(days=7)
_ID = re.compile(r"[A-Za-z0-9_-]+")
_TAG = re.compile(r"[A-Za-z0-9-]+")
WHEN = "%Y-%m-%dT%H:%M:%S%z"


@dataclass(frozen=True, slots=True)
class Look:
    """What the server says of a job. `status` is its word, unchanged; unknown ones are possible."""

    status: str
    message: str = ""
    exit_code: int | None = None
    batch_id: str = ""
    submitted_at: datetime | None = None
    ends_at: datetime | None = None
    """When the server will remove job and directory."""
    tags: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    consumed: Mapping[str, str] = field(default_factory=dict)

    @property
    def started(self) -> bool:
        return self.status not in NOT_STARTED

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def has_directory(self) -> bool:
        """The state READY is shown before the directory is there; the log tells the truth."""
        return any(line.endswith("Status set to READY.") for line in self.log)


def job_id(handle: Handle) -> str:
    """The last word of the job's URL. Raises JobNotFound when it is none of a job."""
    found = handle.location.rstrip("/").rpartition("/")[2]
    if not _ID.fullmatch(found):
        raise JobNotFound(f"{handle.location!r} is no URL of a job.")
    return found


def look_of(values: Mapping[str, Any]) -> Look:
    """From the JSON of a job, tolerantly."""
    code = str(values.get("exitCode", ""))
    consumed = values.get("consumedTime")
    return Look(
        status=str(values.get("status", "")),
        message=str(values.get("statusMessage") or ""),
        exit_code=int(code) if code.isdecimal() else None,
        batch_id=_told(values.get("batchSystemID")),
        submitted_at=when(values.get("submissionTime")),
        ends_at=when(values.get("terminationTime")),
        tags=tuple(str(tag) for tag in values.get("tags") or ()),
        log=tuple(str(line) for line in values.get("log") or ()),
        consumed={k: str(v) for k, v in consumed.items() if _told(v)} if isinstance(consumed, Mapping) else {},
    )


def _told(value: object) -> str:
    return "" if value in (None, "N/A") else str(value)


def when(value: object) -> datetime | None:
    """A time of the server, such as 2026-01-31T12:00:00+0100; None for anything else."""
    try:
        at = datetime.fromisoformat(str(value))  # a tenth of the time that strptime takes
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


class Jobs:
    """Over one connection. Errors as of `Channel`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.directory_seconds = 0.0
        """From the last new job until its directory was seen."""

    @property
    def now(self) -> datetime:
        """The site's time."""
        return self._channel.now

    async def make(self, description: Mapping[str, Any]) -> str:
        """A new job; its id. Raises ReplyLost when one may have been made: look for its tags."""
        response = await self._channel.post("/jobs", description)
        made: str = response.headers.get("Location", "").rstrip("/").rpartition("/")[2]
        if not _ID.fullmatch(made):
            raise ReplyLost("The site took a job without saying its address; it is looked for by its tag.")
        return made

    async def look(self, job: str, fields: str = FIELDS) -> Look:
        """Raises JobNotFound when the server does not know it."""
        return look_of(await self._channel.get(f"/jobs/{job}", fields=fields))

    async def details(self, job: str) -> Mapping[str, Any]:
        """What the batch system says of it; empty when it says nothing, has forgotten the job, or breaks off."""
        with suppress(ServerError, ReplyLost):
            values = await self._channel.get(f"/jobs/{job}/details")
            return values if isinstance(values, Mapping) else {}
        return {}

    async def tagged(self, *tags: str) -> Sequence[tuple[str, Look]]:
        """Our jobs that carry all these tags, the oldest first. The server compares with SQL LIKE, so tags are
        compared here once more. A job may be absent from the list for a moment after it was made."""
        if not all(_TAG.fullmatch(tag) for tag in tags):
            return ()
        found = []
        for job in await self.listed(*tags):
            with suppress(JobNotFound):
                look = await self.look(job)
                if set(tags) <= set(look.tags):
                    found.append((job, look))
        first = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda pair: (pair[1].submitted_at or first, pair[0]))

    async def listed(self, *tags: str) -> Sequence[str]:
        """Ids of our jobs whose tags look like these to the server."""
        urls: list[str] = []
        while True:
            answer = await self._channel.get("/jobs", tags=",".join(tags), offset=str(len(urls)), num=str(MOST))
            some = answer.get("jobs") or []
            urls += some
            if len(some) < MOST:
                return [str(url).rstrip("/").rpartition("/")[2] for url in urls]

    async def start(self, job: str) -> None:
        """Repeatable: the server starts a job once."""
        await self._channel.post(f"/jobs/{job}/actions/start", {})

    async def abort(self, job: str) -> None:
        await self._channel.post(f"/jobs/{job}/actions/abort", {})

    async def remove(self, job: str) -> None:
        """Job and directory; one that is gone is no error."""
        with suppress(JobNotFound):
            await self._channel.delete(f"/jobs/{job}")

    async def keep(self, job: str, look: Look) -> bool:
        """Put off the end of job and directory when it is near; a site may refuse. True when it was asked."""
        now = self._channel.now
        if look.ends_at is None or look.ends_at > now + KEPT_AT_LEAST:
            return False
        with suppress(ServerError, InvalidJob, SiteUnavailable):
            await self._channel.change(f"/jobs/{job}", {"terminationTime": (now + KEPT).strftime(WHEN)})
        return True
