"""Trained models of a project: listed, shown, renamed, unregistered."""

import re
import uuid

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.models import passes
from gateway.models.rows import TrainedModel
from gateway.models.upkeep import Upkeep
from gateway.models.views import views
from gateway.models.words import Status
from gateway.projects.access import require, sees_details
from gateway.schemas.models import ChangeModel, ModelPage, ModelView
from gateway.tracking.client import TrackingClient
from gateway.tracking.names import split_model
from gateway.users.caller import Caller

NO_MODEL = "This project has no such model."
_NAME = re.compile(r"\w[\w .+-]*", re.ASCII)


async def listing(db: Database, caller: Caller, project_id: uuid.UUID, cursor: str | None, limit: int) -> ModelPage:
    """Newest first."""
    async with db.reading() as session:
        details = await sees_details(session, caller, await require(session, caller, project_id, "guest"))
        query = select(TrainedModel).where(TrainedModel.project_id == project_id)
        rows, following = await fetch(session, query, TrainedModel, cursor, limit)
        return ModelPage(items=await views(session, rows, details=details), next_cursor=following)


async def show(db: Database, caller: Caller, project_id: uuid.UUID, model_id: uuid.UUID) -> ModelView:
    async with db.reading() as session:
        details = await sees_details(session, caller, await require(session, caller, project_id, "guest"))
        return (await views(session, [await load(session, project_id, model_id)], details=details))[0]


async def rename(
    db: Database,
    tracking: TrackingClient,
    caller: Caller,
    project_id: uuid.UUID,
    model_id: uuid.UUID,
    body: ChangeModel,
) -> ModelView:
    """Give it another name, in MLflow too. With the name it has, a FAILED one is tried again.

    Raises InvalidInput for the name, Conflict when it is taken."""
    name = checked_name(body.name)
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "researcher")
            model = await load(session, project_id, model_id, lock=True)
            _refuse_other_changes(model, body)
            if model.status == Status.UNREGISTERING:
                raise Conflict(f"The model {model.name} is being unregistered.")
            before, in_mlflow = model.name, model.source is not None
            model.name, model.changed_at = name, clock.now()
            if in_mlflow:
                model.status = Status.PENDING
            await session.flush()
            audit(session, caller, "model.rename", "model", model_id, name=name, before=before)
            one = await passes.begin(session, model_id) if in_mlflow else None
    except IntegrityError:
        if (told := await taken(db, project_id, name)) is None:
            raise
        raise told from None
    if one is not None:
        await Upkeep(db, tracking).attempt(one)
    return await show(db, caller, project_id, model_id)


async def unregister(
    db: Database, tracking: TrackingClient, caller: Caller, project_id: uuid.UUID, model_id: uuid.UUID
) -> None:
    """Take it out of the project and of MLflow's registry; what the run logged stays. When MLflow does not answer it is
    UNREGISTERING, keeps its name, and the engine goes on. May be repeated."""
    async with db.transaction() as session:
        await require(session, caller, project_id, "researcher")
        model = await load(session, project_id, model_id, lock=True)
        audit(session, caller, "model.unregister", "model", model_id, name=model.name)
        if model.source is None:
            await session.delete(model)
            return
        model.status, model.changed_at = Status.UNREGISTERING, clock.now()
        await session.flush()
        one = await passes.begin(session, model_id)
    await Upkeep(db, tracking).attempt(one)


async def load(
    session: AsyncSession, project_id: uuid.UUID, model_id: uuid.UUID, *, lock: bool = False
) -> TrainedModel:
    """A model of the project. Raises NotFound."""
    query = select(TrainedModel).where(TrainedModel.id == model_id, TrainedModel.project_id == project_id)
    found: TrainedModel | None = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound(NO_MODEL, next_step="See `mantik models list`.")
    return found


def checked_name(name: str) -> str:
    """Raises InvalidInput for a name that MLflow, a file system or a filter would read otherwise."""
    if not _NAME.fullmatch(name) or name != name.strip() or split_model(name)[0] is not None:
        raise InvalidInput(
            "name: may have letters, digits, blanks and . _ + -, and begins with a letter, a digit or _, not with an "
            "id of a project."
        )
    return name


async def taken(db: Database, project_id: uuid.UUID, name: str) -> Conflict | None:
    """What to say of a name that another model has; None when none has it."""
    async with db.reading() as session:
        query = select(TrainedModel.status).where(TrainedModel.project_id == project_id, TrainedModel.name == name)
        status = await session.scalar(query)
    if status is None:
        return None
    if status == Status.UNREGISTERING:
        return Conflict(f"name: the model {name!r} of this project is being unregistered; try again in a minute.")
    return Conflict(f"name: this project has a model {name!r} already; choose another name.")


def _refuse_other_changes(model: TrainedModel, body: ChangeModel) -> None:
    given = body.model_dump(exclude={"name"}, exclude_none=True)
    for field, value in given.items():
        if field in ("uri", "location") and model.source is not None:
            continue  # as a client got them: made from the registry
        if field != "connection_id" and value != getattr(model, field):
            alias = ChangeModel.model_fields[field].alias or field
            raise InvalidInput(f"{alias}: cannot be changed, only the name can. Unregister it and register another.")
