"""The files of a model, as an archive."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from gateway.db.session import Database
from gateway.errors import Conflict, Unavailable
from gateway.models import archive
from gateway.models.archive import Member
from gateway.models.rows import TrainedModel
from gateway.models.service import load
from gateway.models.words import Status
from gateway.projects.access import require
from gateway.schemas.projects import Role
from gateway.tracking import logged
from gateway.tracking.client import TrackingClient
from gateway.users.caller import Caller

PLACE_SECONDS = 5.0
"""How long somebody waits until another archive was sent."""


@dataclass(frozen=True, slots=True)
class Archive:
    name: str
    """Of the file."""
    size: int | None
    """Bytes; None when it is packed on the way."""
    content: AsyncIterator[bytes]
    place: asyncio.Semaphore
    """To be released when it was sent, or not."""


async def download(
    db: Database, tracking: TrackingClient, caller: Caller, project_id: uuid.UUID, model_id: uuid.UUID
) -> Archive:
    """All files of the model as a tar, in one folder of its name. Raises Conflict for one that lies elsewhere."""
    model = await readable(db, caller, project_id, model_id, "reporter")
    members = await members_of(tracking, model, model.name)
    size = await asyncio.to_thread(archive.size_of, members)
    return Archive(f"{model.name}.tar", size, archive.tar(members), await place(tracking))


async def place(tracking: TrackingClient) -> asyncio.Semaphore:
    """One of the few for archives on their way, each of which holds a connection to MLflow. Raises Unavailable."""
    try:
        async with asyncio.timeout(PLACE_SECONDS):
            await tracking.archives.acquire()
    except TimeoutError:
        raise Unavailable(
            "The gateway sends as many models as it can at once.", next_step="Try again in a minute."
        ) from None
    return tracking.archives


async def readable(
    db: Database, caller: Caller, project_id: uuid.UUID, model_id: uuid.UUID, least: Role
) -> TrainedModel:
    """A model whose bytes MLflow has."""
    async with db.reading() as session:
        await require(session, caller, project_id, least)
        model = await load(session, project_id, model_id)
    if model.source is None:
        raise Conflict(
            f"The model {model.name} lies at {model.uri}, where the gateway does not reach.",
            next_step="Fetch it from there with your own credentials.",
        )
    if model.status == Status.UNREGISTERING:
        raise Conflict(f"The model {model.name} is being unregistered.")
    return model


async def members_of(tracking: TrackingClient, model: TrainedModel, folder: str) -> list[Member]:
    """Raises Conflict when nothing is there any more."""
    source = str(model.source)
    found = await logged.files_of(tracking, source)
    if not found:
        raise Conflict(f"The files of the model {model.name} are gone from MLflow.")
    return [Member(f"{folder}/{f.path}", f.size, partial(logged.content, tracking, source, f.path)) for f in found]
