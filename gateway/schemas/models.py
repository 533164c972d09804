"""Trained models: what is asked, what is shown."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, computed_field

from gateway.schemas.runs import ParameterValue
from gateway.schemas.users import UserView
from gateway.schemas.wire import Body, Page, Wire

ModelStatus = Literal["PENDING", "REGISTERED", "FAILED", "UNREGISTERING"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class RegisterModel(Body):
    """Body of POST /projects/{id}/models/trained, with the published names: `runId`, or `uri` and `location`."""

    name: ModelName
    run_id: UUID | None = None
    """A run that is FINISHED."""
    artifact_path: str | None = Field(default=None, min_length=1, max_length=2000)
    """Which of the models that the run logged: name or id of a logged model, or a folder of its artifacts."""
    uri: str | None = Field(default=None, min_length=1, max_length=2000)
    """`runs:/<MLflow run>/<path>` or `models:/<logged model>` of the project, or where it lies elsewhere."""
    location: str | None = Field(default=None, min_length=1, max_length=200)
    """What kind of place the URI names, in your words."""
    connection_id: UUID | None = None
    """The caller's own, that opens the URI."""
    mlflow_parameters: dict[Annotated[str, StringConstraints(max_length=250)], ParameterValue] | None = None
    """By default those of the run."""


class ChangeModel(RegisterModel):
    """Body of PUT: another name. What else is given must be as it is."""


class CostView(Wire):
    """What the job used, by what the site told; null is unknown."""

    elapsed_seconds: float | None
    nodes: int | None
    node_hours: float | None
    cpu_hours: float | None
    gpu_hours: float | None
    billing: float | None
    """The site's own measure."""


class ModelOrigin(Wire):
    """The run that made it."""

    run_id: UUID
    run_name: str
    run_deleted: bool
    branch: str | None
    commit: str | None
    code_repository_id: UUID | None
    experiment_repository_id: UUID
    entry_point: str
    mlflow_run_id: str | None
    site_name: str | None
    job_id: str | None
    compute_budget_account: str | None
    cost: CostView


class ModelView(Wire):
    """The published fields first."""

    model_id: UUID
    name: str
    uri: str | None
    """For `mlflow.pyfunc.load_model` through the gateway, once it is REGISTERED; else as it was given."""
    location: str | None
    connection_id: UUID | None
    mlflow_parameters: dict[str, Any]
    status: ModelStatus
    run_id: UUID | None
    project_id: UUID
    message: str | None
    """Why MLflow does not have it yet."""
    mlflow_name: str | None
    mlflow_version: str | None
    artifact_path: str | None
    logged_model_id: str | None
    has_image: bool
    """Whether the archive for a container image was built."""
    origin: ModelOrigin | None
    """None for a model that was given by its URI."""
    user: UserView
    """Who registered it."""
    created_at: datetime
    changed_at: datetime


class ModelPage(Page[ModelView]):
    """`models` is the published name of `items`."""

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def models(self) -> list[ModelView]:
        return self.items


class Link(Wire):
    """To be fetched by a plain GET, without a login, for an hour."""

    url: str
