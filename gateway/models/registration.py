"""A model gets its name: found among what its run logged, or by its URI, and written down."""

import uuid
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record as audit
from gateway.connections.rows import Connection
from gateway.db.lease import later
from gateway.db.session import Database
from gateway.errors import Conflict, InvalidInput
from gateway.models import choice
from gateway.models.passes import HELD_SECONDS, Pass
from gateway.models.rows import TrainedModel
from gateway.models.service import checked_name, show, taken
from gateway.models.upkeep import Upkeep
from gateway.models.words import Status
from gateway.projects.access import require
from gateway.runs.rows import Run
from gateway.runs.states import State
from gateway.schemas.models import ModelView, RegisterModel
from gateway.tracking.client import TrackingClient
from gateway.tracking.copied import require_copied
from gateway.tracking.logged import Logged
from gateway.users.caller import Caller


async def register(
    db: Database, tracking: TrackingClient, caller: Caller, project_id: uuid.UUID, body: RegisterModel
) -> ModelView:
    """Stored first, then put into MLflow's registry; when MLflow does not answer it is PENDING, and the engine goes on.

    Raises InvalidInput that names the field, Conflict for a run that is not FINISHED, or whose tracking is
    not copied yet, and for a name that is taken."""
    name = checked_name(body.name)
    _check_fields(body)
    run = await _finished(db, caller, project_id, body.run_id) if body.run_id is not None else None
    if run is None:
        await _may_write(db, caller, project_id)
        found = await choice.by_uri(db, tracking, project_id, str(body.uri))
        run = await _run_of(db, project_id, found)
    else:
        await require_copied(db, run.id)
        found = await choice.of_run(db, tracking, project_id, str(run.mlflow_run_id), body.artifact_path)
    columns = _columns(body, run) | _in_mlflow(found) | {"name": name, "project_id": project_id}
    one = await _store(db, caller, columns)
    if found is not None:
        await Upkeep(db, tracking).attempt(one)
    return await show(db, caller, project_id, one.model_id)


def _check_fields(body: RegisterModel) -> None:
    if body.run_id is not None:
        if body.uri is not None or body.location is not None:
            raise InvalidInput("uri: leave uri and location out with runId.")
    elif body.uri is None or body.location is None:
        raise InvalidInput("runId: give it, or uri and location for a model without a run.")
    elif body.artifact_path is not None:
        raise InvalidInput("artifactPath: goes with runId; put the path into the uri.")


async def _may_write(db: Database, caller: Caller, project_id: uuid.UUID) -> None:
    async with db.reading() as session:
        await require(session, caller, project_id, "researcher")


async def _finished(db: Database, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID) -> Run:
    async with db.reading() as session:
        await require(session, caller, project_id, "researcher")
        run = await session.get(Run, run_id)
    gone = run is not None and (run.deleted_at is not None or run.delete_requested_at is not None)
    if run is None or run.project_id != project_id or gone:
        raise InvalidInput("runId: this project has no such run; see `mantik runs list`.")
    _require_finished(run, "runId")
    if run.mlflow_run_id is None:
        raise Conflict(
            "runId: the run has no run in MLflow yet, so nothing can be found that it logged.",
            next_step="Try again when MLflow answers.",
        )
    return run


async def _run_of(db: Database, project_id: uuid.UUID, found: Logged | None) -> Run | None:
    """The run that made what a URI names, by the rules for one that is named; None for what no run of the gateway made.

    Raises InvalidInput and Conflict."""
    if found is None or found.mlflow_run_id is None:
        return None
    query = select(Run).where(Run.project_id == project_id, Run.mlflow_run_id == found.mlflow_run_id)
    async with db.reading() as session:
        runs = (await session.scalars(query.order_by(Run.created_at))).all()
    left = [run for run in runs if run.deleted_at is None and run.delete_requested_at is None]
    if runs and not left:
        raise InvalidInput("uri: the run that made it was deleted from this project.")
    for run in left:
        _require_finished(run, "uri")
    return left[0] if left else None


def _require_finished(run: Run, field: str) -> None:
    if run.state != State.FINISHED:
        raise Conflict(
            f"{field}: the run {run.name} is {run.state}. Only a model of a FINISHED run can be registered.",
            next_step=f"Wait for its end: mantik runs wait {run.id}" if run.ended_at is None else "",
        )


def _columns(body: RegisterModel, run: Run | None) -> dict[str, Any]:
    given = body.mlflow_parameters
    return {
        "run_id": run.id if run is not None else None,
        "connection_id": body.connection_id,
        "uri": body.uri,
        "location": body.location,
        "mlflow_parameters": given if given is not None else dict(run.parameters) if run is not None else {},
    }


def _in_mlflow(found: Logged | None) -> dict[str, Any]:
    """A model elsewhere is not told to MLflow: its server would fetch it with rights of its own."""
    if found is None:
        return {"source": None, "status": Status.REGISTERED}
    return {
        "source": found.source,
        "artifact_path": found.path,
        "logged_model_id": found.logged_model_id,
        "mlflow_run_id": found.mlflow_run_id,
        "status": Status.PENDING,
    }


async def _store(db: Database, caller: Caller, columns: dict[str, Any]) -> Pass:
    """The intent, and the first pass over it. The database lets one of two with the same name in."""
    project_id: uuid.UUID = columns["project_id"]
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "researcher")
            await _check_connection(session, caller, columns["connection_id"])
            waits, now = columns["source"] is not None, clock.now()
            model = TrainedModel(
                id=uuid.uuid4(),
                created_by=caller.user_id,
                created_at=now,
                changed_at=now,
                due_at=later(session, HELD_SECONDS) if waits else None,
                epoch=0,
                failures=1,
                **columns,
            )
            session.add(model)
            await session.flush()
            run_id = columns["run_id"]
            named = {"run": str(run_id)} if run_id is not None else {"uri": str(columns["uri"])}
            audit(session, caller, "model.register", "model", model.id, name=columns["name"], **named)
            return Pass(model.id, 0)
    except IntegrityError:
        if (told := await taken(db, project_id, columns["name"])) is None:
            raise
        raise told from None


async def _check_connection(session: AsyncSession, caller: Caller, connection_id: uuid.UUID | None) -> None:
    if connection_id is None:
        return
    row = await session.get(Connection, connection_id)
    if row is None or row.owner_id != caller.user_id or row.retired_at is not None:
        raise InvalidInput("connectionId: you have no such connection; see `mantik connections list`.")
