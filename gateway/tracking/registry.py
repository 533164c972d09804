"""Registered models: the name that users give, and the one in MLflow, which carries the project."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from gateway.errors import Forbidden, InvalidInput, NotFound
from gateway.tracking import artifacts
from gateway.tracking.client import TrackingClient
from gateway.tracking.message import Address, Kind, address
from gateway.tracking.names import model_name, split_model

_SOURCE_VERSION = re.compile(r"/?([^/@]+)(/[^/]+|@[^/]+)")
_NAME_FILTER = re.compile(r"""(?<![\w.`"'])name\s*=\s*(?:'([^'"]*)'|"([^'"]*)")""")


async def existing(client: TrackingClient, name: str, projects: set[UUID]) -> tuple[UUID, str]:
    """Project and name in MLflow of a model known by its bare name, among these projects.

    Raises NotFound, and InvalidInput when several projects have one of this name.
    """
    project_id, bare = split_model(name)
    if project_id is not None:
        return project_id, name
    candidates = {model_name(project, bare): project for project in projects}
    if len(candidates) > 1:
        candidates = {full: candidates[full] for full in await _registered(client, bare) if full in candidates}
    if len(candidates) > 1:
        raise InvalidInput(
            f"Several of your projects have a model {bare}.", next_step="Name it <project id>.<model name>."
        )
    if not candidates:
        raise missing(name)
    full, project = next(iter(candidates.items()))
    return project, full


def new(name: str, projects: set[UUID]) -> tuple[UUID, str]:
    """Project and name in MLflow for a model to be made by somebody who may write in these projects."""
    project_id, bare = split_model(name)
    if project_id is not None:
        return project_id, name
    if len(projects) != 1:
        raise InvalidInput(f"The model {bare} needs a project.", next_step="Name it <project id>.<model name>.")
    project = next(iter(projects))
    return project, model_name(project, bare)


def renamed(name: str, project_id: UUID) -> str:
    """The new name in MLflow: a model stays in its project."""
    project, bare = split_model(name)
    if project not in (None, project_id):
        raise Forbidden("A model cannot be renamed into another project.")
    return model_name(project_id, bare)


async def source(text: str, of_model: Callable[[str], Awaitable[str]]) -> tuple[str, list[Address]]:
    """The source of a new version as MLflow shall read it, and what it names.

    Taken: `runs:/<run>/<path>`, `models:/<logged model>`, `models:/<name>/<version>`, `mlflow-artifacts:/<path>`.
    `of_model` checks a registered model's name and gives the one in MLflow.
    """
    parts = urlsplit(text)
    path = parts.path.lstrip("/")
    if not parts.netloc and not parts.query and not parts.fragment:
        if parts.scheme == "runs":
            artifacts.parse_relative(path)
            return text, [address(Kind.RUN, path.split("/", 1)[0])]
        if parts.scheme == "mlflow-artifacts":
            return f"mlflow-artifacts:/{path}", [Address(Kind.EXPERIMENT, artifacts.parse(path).experiment_id)]
        if parts.scheme == "models" and re.fullmatch(r"m-[0-9a-f]+", path):
            return text, [address(Kind.LOGGED_MODEL, path)]
        if parts.scheme == "models" and (match := _SOURCE_VERSION.fullmatch(path)):
            return f"models:/{await of_model(match[1])}{match[2]}", []
    raise InvalidInput("The source of a model version must be a run, a logged model or a model of the tracking server.")


def filtered(text: str, projects: set[UUID]) -> str:
    """A search filter in which `name = 'x'` means the caller's x, where that is one name only."""
    if len(projects) != 1:
        return text
    project = next(iter(projects))

    def full(match: re.Match[str]) -> str:
        given = match[1] if match[1] is not None else match[2]
        return f"name = '{given if split_model(given)[0] else model_name(project, given)}'"

    return _NAME_FILTER.sub(full, text)


def missing(name: str) -> NotFound:
    return NotFound(f"Registered model {name} does not exist, or you may not see it.")


async def _registered(client: TrackingClient, bare: str) -> list[str]:
    if "'" in bare or '"' in bare:
        raise InvalidInput("Name the model <project id>.<model name>.")
    query: list[tuple[str, str]] = [("filter", f"name LIKE '%.{bare}'"), ("max_results", "1000")]
    answer: dict[str, Any] = await client.call("GET", "registered-models/search", query=query)
    return [model["name"] for model in answer.get("registered_models", ())]
