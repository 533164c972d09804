"""What sites tell by themselves of jobs that we follow. It makes the next look at such a job come at once, and is not
believed: without it, or with a wrong one, all comes out the same, later or after one look more."""

import asyncio
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from backends.backend import Backend, Notified
from backends.errors import BackendError
from backends.spec import Handle, JobRef
from gateway.db.lease import claim_idle, release_named
from gateway.engine.parts import Parts
from gateway.engine.poller import PREFIX, Poller
from gateway.runs.rows import Attempt, Job, Run
from gateway.runs.states import FINAL, ON_SITE, State
from gateway.secrets.notification import Told, secret_of
from gateway.settings import Settings
from gateway.sites.rows import Site

log = logging.getLogger(__name__)
PATH = "/api/v1/notifications/"
MOST = 2000
"""Runs whose notices wait here; of more than that the regular look has to do."""
KEPT_SECONDS = 30.0
"""How long a notice waits for its run to be stored as submitted, or for a look at its connection to end."""
LOOK_SECONDS = 20.0
"""The regular look has more patience."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The newest message about one attempt."""

    authorization: str = field(repr=False)
    body: bytes
    at: float = field(default_factory=time.monotonic)


def address(parts: Parts, site: Site, run_id: uuid.UUID, attempt: int) -> str:
    """Where the site may tell of an attempt's job. Empty where it cannot reach us, as far as the operator said."""
    if not _reachable(parts.settings) or site.compute_nodes_reach_gateway == "no":
        return ""
    return f"{parts.settings.public_url}{PATH}{secret_of(parts.sites.vault, Told(run_id, attempt))}"


def _reachable(settings: Settings) -> bool:
    """The address of this machine is none for a site."""
    return "public_url" in settings.model_fields_set


@dataclass(slots=True)
class Notices:
    """Of this process: the gateway that was told looks, whichever polls the connection."""

    parts: Parts
    poller: Poller
    _waiting: dict[Told, Notice] = field(default_factory=dict)

    def take(self, about: Told, authorization: str, body: bytes) -> None:
        """Keep it for the next round. Whether the site really sent it is found out there."""
        if about in self._waiting or len(self._waiting) < MOST:
            self._waiting[about] = Notice(authorization, body)

    async def round(self) -> None:
        """Look at the jobs that were told of since the last one."""
        if not self._waiting:
            return
        told, self._waiting = self._waiting, {}
        followed = await self._followed(told)
        await asyncio.gather(*(self._of(connection_id, refs, told) for connection_id, refs in followed.items()))

    async def _of(self, connection_id: uuid.UUID, refs: Mapping[Told, JobRef], told: Mapping[Told, Notice]) -> None:
        """What was told of one connection; a site that hangs keeps the others waiting for a moment only."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                backend = await self.parts.sites.backend(connection_id)
                ours = {about: ref for about, ref in refs.items() if await _genuine(backend, ref, told[about])}
                if ours and not await self._look(connection_id, ours):
                    self._later({about: told[about] for about in ours})
        except (BackendError, TimeoutError) as error:
            why = str(error) or "it did not answer in time"
            log.info("what a site told of %d jobs came to nothing: %s", len(refs), why)

    def _later(self, notices: Mapping[Told, Notice]) -> None:
        for about, notice in notices.items():
            if time.monotonic() - notice.at < KEPT_SECONDS:
                self._waiting.setdefault(about, notice)

    async def _followed(self, told: Mapping[Told, Notice]) -> dict[uuid.UUID, dict[Told, JobRef]]:
        """Jobs of those runs by connection. A run that is not stored as submitted yet is waited for."""
        tags = {f"mantik-{about.run_id}-{about.attempt}": about for about in told}
        async with self.parts.db.reading() as session:
            query = select(Attempt, Run, Job).join(Run, Run.id == Attempt.run_id)
            current = (Job.attempt_id == Attempt.id) & Job.current
            rows = (await session.execute(query.outerjoin(Job, current).where(Attempt.tag.in_(tags)))).all()
        found: dict[uuid.UUID, dict[Told, JobRef]] = defaultdict(dict)
        for attempt, run, job in rows:
            about = tags[attempt.tag]
            if job is not None and run.connection_id is not None and run.state in ON_SITE:
                found[run.connection_id][about] = JobRef(job.site_job_id, Handle(attempt.tag, attempt.location or ""))
            elif State(run.state) not in FINAL and attempt.revoked_at is None:
                self._later({about: told[about]})
        return found

    async def _look(self, connection_id: uuid.UUID, ours: Mapping[Told, JobRef]) -> bool:
        """False when somebody else is just looking at the connection."""
        seconds, name = self.parts.settings.lease_seconds, f"{PREFIX}{connection_id}"
        async with self.parts.db.transaction() as session:
            lease = await claim_idle(session, self.parts.owner, name, seconds)
        if lease is None:
            return False
        try:
            await self.poller.look(lease, {about.run_id for about in ours})
        finally:
            async with self.parts.db.transaction() as session:
                await release_named(session, lease, due_in=None)
        return True


async def _genuine(backend: Backend, ref: JobRef, notice: Notice) -> bool:
    return isinstance(backend, Notified) and await backend.told(ref, notice.authorization, notice.body)
