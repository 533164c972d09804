"""Projects, members, experiment and code repositories."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from gateway.schemas.users import UserView
from gateway.schemas.wire import Body, Wire

Role = Literal["owner", "maintainer", "researcher", "reporter", "guest"]
Name = Field(min_length=1, max_length=200)


class CreateProject(Body):
    name: str = Name
    description: str = Field(default="", max_length=10_000)
    public: bool = False
    public_details: bool = False


class ProjectView(Wire):
    project_id: UUID
    name: str
    description: str
    public: bool
    public_details: bool
    role: Role | None
    """The caller's; None for a public project seen by a stranger."""
    created_at: datetime


class SetMember(Body):
    role: Role


class MemberView(Wire):
    user: UserView
    role: Role


class CreateExperiment(Body):
    name: str = Name
    description: str = Field(default="", max_length=10_000)


class ExperimentView(Wire):
    experiment_repository_id: UUID
    name: str
    description: str
    mlflow_experiment_id: str | None
    artifact_location: str | None
    created_at: datetime


class CreateCode(Body):
    """Published names of the answer's fields, so of the request's too."""

    code_repository_name: str = Name
    uri: str = Field(min_length=1, max_length=2000)
    description: str = Field(default="", max_length=10_000)
    connection_id: UUID | None = None
    platform: str = Field(default="Git", max_length=40)


class CodeView(Wire):
    code_repository_id: UUID
    code_repository_name: str
    description: str
    uri: str
    connection_id: UUID | None
    platform: str
    created_at: datetime
