"""Prepared jobs that were not started: of interrupted submissions, and of those that are under way."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta

from backends.errors import JobNotFound
from backends.spec import Handle
from backends.unicore.answers import ServerError
from backends.unicore.description import ANY_TAG, attempt_tag
from backends.unicore.jobs import Jobs, Look

REMEMBERED = 20_000
HELPERS = frozenset({"mantik-check", "mantik-seize"})
"""Jobs of a minute or two, which a gateway removes that lives so long."""
LEFT = timedelta(hours=1)


class Orphans:
    """Of one connection's user. What is remembered saves questions only: a started job stays started."""

    def __init__(self, base: str, jobs: Jobs) -> None:
        self._base = base
        self._jobs = jobs
        self._started: dict[str, None] = {}

    async def unstarted(self, known: Collection[str]) -> Sequence[Handle]:
        """See `backends.backend.Unstarted`. Removes helpers that a killed gateway left."""
        found = []
        for job in await self._jobs.listed(ANY_TAG):
            location = f"{self._base}/jobs/{job}"
            if location in known or job in self._started:
                continue
            with suppress(JobNotFound, ServerError):
                look = await self._jobs.look(job)
                tag = attempt_tag(look.tags)
                if not HELPERS.isdisjoint(look.tags):
                    await self._tidy(job, look)
                elif tag is None or look.started:
                    self._remember(job)
                else:
                    found.append(Handle(tag, location))
        return found

    async def _tidy(self, job: str, look: Look) -> None:
        if look.submitted_at is not None and self._jobs.now - look.submitted_at > LEFT:
            await self._jobs.remove(job)

    def _remember(self, job: str) -> None:
        self._started[job] = None
        while len(self._started) > REMEMBERED:
            del self._started[next(iter(self._started))]
