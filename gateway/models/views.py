"""Models as they are shown, with where they come from, in few queries however many."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.models.lineage import Origin, origins
from gateway.models.rows import TrainedModel
from gateway.models.words import Status
from gateway.runs.views import NOBODY, user_names
from gateway.schemas.models import CostView, ModelOrigin, ModelView
from gateway.schemas.users import UserView

IN_MLFLOW = "MLflow"
"""Location of a model that was not given by a URI."""


async def views(session: AsyncSession, models: Sequence[TrainedModel], *, details: bool = True) -> list[ModelView]:
    """One per model, in order. Without `details` people, hosts, accounts and places are left out (public projects)."""
    known = await origins(session, [m.run_id for m in models if m.run_id])
    names = await user_names(session, {m.created_by for m in models})
    return [_view(m, known.get(m.run_id) if m.run_id else None, names[m.created_by], details) for m in models]


def uri_of(model: TrainedModel) -> str | None:
    """Where MLflow's client finds it through the gateway."""
    if model.mlflow_name is None or model.status not in (Status.REGISTERED, Status.PENDING):
        return None
    return f"models:/{model.mlflow_name}/{model.mlflow_version}"


def _view(model: TrainedModel, origin: Origin | None, user: str, details: bool) -> ModelView:
    elsewhere = model.source is None
    return ModelView(
        model_id=model.id,
        name=model.name,
        uri=(model.uri if details else None) if elsewhere else uri_of(model),
        location=(model.location if details else None) or (None if elsewhere else IN_MLFLOW),
        connection_id=_connection(model, origin) if details else None,
        mlflow_parameters=model.mlflow_parameters,
        status=Status(model.status).value,
        run_id=model.run_id,
        project_id=model.project_id,
        message=model.message if details else None,
        mlflow_name=model.mlflow_name,
        mlflow_version=model.mlflow_version,
        artifact_path=model.artifact_path,
        logged_model_id=model.logged_model_id,
        has_image=model.dockerfile is not None,
        origin=_origin(origin, details) if origin is not None else None,
        user=UserView(user_id=model.created_by, name=user) if details else UserView(user_id=NOBODY, name=""),
        created_at=model.created_at,
        changed_at=model.changed_at,
    )


def _connection(model: TrainedModel, origin: Origin | None) -> object:
    return model.connection_id or (origin.run.connection_id if origin is not None else None)


def _origin(origin: Origin, details: bool) -> ModelOrigin:
    run = origin.run
    return ModelOrigin(
        run_id=run.id,
        run_name=run.name,
        run_deleted=run.deleted_at is not None,
        branch=run.branch,
        commit=run.commit or run.requested_commit,
        code_repository_id=run.code_repository_id,
        experiment_repository_id=run.experiment_repository_id,
        entry_point=run.entry_point,
        mlflow_run_id=run.mlflow_run_id,
        site_name=origin.site if details else None,
        job_id=origin.job_id if details else None,
        compute_budget_account=origin.account if details else None,
        cost=CostView(**asdict(origin.cost)),
    )
