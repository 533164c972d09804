"""`check`: a job that never starts proves that the site takes jobs, makes their directories and lets us write there."""

import asyncio
import uuid
from contextlib import suppress
from dataclasses import replace
from posixpath import dirname
from typing import Any
from urllib.parse import urlsplit

from backends.errors import BackendError, InvalidJob
from backends.reasons import Reason
from backends.spec import Site, SiteInfo
from backends.unicore.files import Directory
from backends.unicore.jobs import Jobs
from backends.unicore.preparation import wait_for_directory
from backends.unicore.reasons import cause_of
from backends.unicore.site_info import FACTORY, FACTORY_FIELDS, Partitions, partitions_of, site_info, submission_off
from backends.unicore.tls import is_verified
from backends.unicore.transport import Channel

PROBE = b"mantik\n" * 600
UNVERIFIED = "The certificate of this site is not checked (verifyTls: false): anybody between us and it can read all."
LIMITS_SECONDS = 600.0


async def survey(channel: Channel, jobs: Jobs, site: Site) -> SiteInfo:
    """Logs in anew. Raises InvalidJob with reason PREPARE_FAILED or DISK_FULL when no job's directory can be used."""
    base = await channel.me()
    factory = await channel.get(f"/{FACTORY}", fields=FACTORY_FIELDS)
    host = urlsplit(channel.base).hostname or channel.base
    notes = () if is_verified(site) else (UNVERIFIED,)
    if submission_off(base) is not None:
        # Who we are there and what there is can be told all the same; a note says why nothing runs.
        return site_info(base, factory, host=host, work_directory="", notes=notes)
    parent, storage = await _probe(channel, jobs)
    info = site_info(base, factory, host=host, work_directory=parent, notes=notes)
    free = str(storage.get("usableSpace"))
    return replace(info, free_bytes=int(free) if free.isdecimal() else None)


class Limits:
    """What the queues of a site take, asked for now and then."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: Partitions | None = None
        self._asked = 0.0

    async def __call__(self) -> Partitions:
        now = asyncio.get_running_loop().time()
        if self._known is None or now > self._asked + LIMITS_SECONDS:
            self._known = partitions_of(await self._channel.get(f"/{FACTORY}", fields="resources"))
            self._asked = now
        return self._known


async def _probe(channel: Channel, jobs: Jobs) -> tuple[str, dict[str, Any]]:
    """The directory of the jobs' directories, and what the server says of their storage."""
    job = await jobs.make(
        {
            "Executable": "true",
            "haveClientStageIn": "true",
            "Umask": "077",
            "Name": "mantik.check",
            "Tags": ["mantik", "mantik-check", f"mantik-check-{uuid.uuid4()}"],
        }
    )
    try:
        look = await wait_for_directory(jobs, job)
        if look.started:
            cause = cause_of(look.message, look.exit_code)
            raise InvalidJob(cause.sentence, reason=Reason.PREPARE_FAILED, text=look.message)
        directory = Directory(channel, job)
        await directory.write("probe", PROBE)
        if (await directory.stat("probe"))[0].size != len(PROBE):
            message = "A file did not arrive whole in a job's directory there; its disk or your quota may be full."
            raise InvalidJob(message, reason=Reason.DISK_FULL)
        storage = dict(await directory.properties())
        return dirname(str(storage["mountPoint"]).rstrip("/")), storage
    finally:
        with suppress(BackendError):
            await jobs.remove(job)
