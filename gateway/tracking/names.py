"""Names in MLflow carry the project, so that two projects may use one name."""

import re
from uuid import UUID

_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_EXPERIMENT = re.compile(rf"({_ID})/(.+)", re.DOTALL)
_MODEL = re.compile(rf"({_ID})\.(.+)", re.DOTALL)


def experiment_name(project_id: UUID, name: str) -> str:
    """`<project id>/<name>`."""
    return f"{project_id}/{name}"


def model_name(project_id: UUID, name: str) -> str:
    """`<project id>.<name>`: MLflow takes neither `/` nor `:` in the name of a registered model."""
    return f"{project_id}.{name}"


def split_experiment(name: str) -> tuple[UUID | None, str]:
    """The project, when the name carries one, and the name that users gave."""
    return _split(_EXPERIMENT, name)


def split_model(name: str) -> tuple[UUID | None, str]:
    return _split(_MODEL, name)


def _split(pattern: re.Pattern[str], name: str) -> tuple[UUID | None, str]:
    match = pattern.fullmatch(name)
    return (UUID(match[1]), match[2]) if match else (None, name)
