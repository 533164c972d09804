"""What differs between the gateway and MLflow's registry though both were in step once."""

import logging
import uuid
from collections.abc import Iterable, Sequence

from sqlalchemy import select, update

from gateway.db.lease import later
from gateway.db.session import Database
from gateway.errors import GatewayError
from gateway.models.rows import TrainedModel
from gateway.models.shelf import Shelf
from gateway.models.words import Status
from gateway.projects.rows import Project
from gateway.tracking import model_versions
from gateway.tracking.client import TrackingClient
from gateway.tracking.model_versions import MODEL_TAG, PROJECT_TAG, Version

log = logging.getLogger(__name__)
SWEEP_SECONDS = 1800.0


async def sweep(db: Database, tracking: TrackingClient) -> None:
    """Versions that somebody deleted or renamed in MLflow are due again; versions whose model is gone are deleted.

    May be repeated and broken off anywhere, by many gateways at once. Versions of projects that are not in this
    database, such as those of another gateway over the same MLflow, stay."""
    try:
        # In this order: a version was made after its row.
        there = [version async for version in model_versions.all_ours(tracking)]
        known, ours = await _known(db)
        await _differing(db, there)
        stray = {v.tags[MODEL_TAG] for v in there if v.tags.get(PROJECT_TAG) in ours} - known
        for model_id in sorted(stray):
            await Shelf(db, tracking).clear_away(uuid.UUID(model_id))
            log.info("took model %s out of MLflow's registry, whose row is gone", model_id)
    except GatewayError as error:
        log.info("MLflow's registry was not compared: %s", error.message)


async def _known(db: Database) -> tuple[set[str], set[str]]:
    """Ids of all models, and of all projects, as tags have them."""
    async with db.reading() as session:
        models = {str(found) for found in await session.scalars(select(TrainedModel.id))}
        return models, {str(found) for found in await session.scalars(select(Project.id))}


async def _differing(db: Database, there: Iterable[Version]) -> None:
    """Models that are in step by the row, and are not in MLflow once and as it says, are due now."""
    places: dict[str, set[tuple[str, str]]] = {}
    for version in there:
        places.setdefault(version.tags[MODEL_TAG], set()).add((version.name, version.number))
    columns = TrainedModel.id, TrainedModel.mlflow_name, TrainedModel.mlflow_version, TrainedModel.epoch
    in_step = TrainedModel.status == Status.REGISTERED, TrainedModel.source.is_not(None), TrainedModel.due_at.is_(None)
    async with db.reading() as session:
        rows = (await session.execute(select(*columns).where(*in_step))).all()
    differ = [(row[0], row[3]) for row in rows if places.get(str(row[0])) != {(row[1], row[2])}]
    if differ:
        await _make_due(db, differ)


async def _make_due(db: Database, models: Sequence[tuple[uuid.UUID, int]]) -> None:
    async with db.transaction() as session:
        for model_id, epoch in models:
            await session.execute(
                update(TrainedModel)
                .where(TrainedModel.id == model_id, TrainedModel.epoch == epoch)
                .values(due_at=later(session, 0))
                .execution_options(synchronize_session=False)
            )
            log.info("model %s is not in MLflow's registry as it should be, and is put there again", model_id)
