"""The table of MLflow's routes that the proxy lets through, each with how it maps to a project and which role it needs.

Everything that is not here is denied. `refused.py` names what is denied on purpose, so that a test sees a new route of
a newer MLflow. Paths were read from the handlers of MLflow 3.17.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from gateway.schemas.projects import Role
from gateway.tracking.scopes import Reach


class Rule(StrEnum):
    """How a request maps to projects. With every rule, each run, experiment and logged model that query, path or body
    name at any depth must lie in a project where the caller has the route's role."""

    NAMED = "the runs, experiments and logged models it names"
    OPEN = "nothing of a project in it"
    EXPERIMENT_NAME = "an experiment by the name it has in the gateway"
    IN_EXPERIMENTS = "`experiment_ids`; none given means all of the caller's"
    LIST_EXPERIMENTS = "all, of which the caller's experiments are answered"
    NEW_RUN = "`experiment_id` and the parent in the tags; with a run token the parent alone"
    NEW_LOGGED_MODEL = "`experiment_id` and `source_run_id`"
    MODEL = "the project in the registered model's name"
    NEW_VERSION = "the project in the registered model's name, and its `source`"
    LIST_MODELS = "all, of which the caller's registered models are answered"
    ARTIFACT = "the experiment that the artifact path begins with"
    ARTIFACT_LIST = "the experiment that the query's `path` begins with"


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    """Below `prefixes`; `{name}` stands for one segment, `{path}` for the rest."""
    rule: Rule
    least: Role = "guest"
    run_token: Reach = Reach.NOTHING
    prefixes: tuple[str, ...] = ("api/2.0/mlflow/", "ajax-api/2.0/mlflow/")
    streams: bool = False
    """The answer's bytes, or the request's, go through as they come."""


RUN, EXPERIMENT, NOTHING = Reach.RUN, Reach.EXPERIMENT, Reach.NOTHING
AJAX = ("ajax-api/2.0/mlflow/",)
TOP = ("",)
FILES = ("api/2.0/mlflow-artifacts/", "ajax-api/2.0/mlflow-artifacts/")

EXPERIMENTS = (
    Route("GET", "experiments/get", Rule.NAMED, "guest", EXPERIMENT),
    Route("GET", "experiments/get-by-name", Rule.EXPERIMENT_NAME, "guest", EXPERIMENT),
    Route("POST", "experiments/search", Rule.LIST_EXPERIMENTS, "guest", EXPERIMENT),
    Route("GET", "experiments/search", Rule.LIST_EXPERIMENTS, "guest", EXPERIMENT),
    Route("POST", "experiments/set-experiment-tag", Rule.NAMED, "maintainer"),
    Route("POST", "experiments/delete-experiment-tag", Rule.NAMED, "maintainer"),
    Route("POST", "experiments/search-datasets", Rule.IN_EXPERIMENTS, "reporter", NOTHING, AJAX),
)
RUNS = (
    Route("POST", "runs/create", Rule.NEW_RUN, "researcher", EXPERIMENT),
    Route("GET", "runs/get", Rule.NAMED, "guest", RUN),
    Route("POST", "runs/search", Rule.IN_EXPERIMENTS, "guest", EXPERIMENT),
    Route("POST", "runs/update", Rule.NAMED, "researcher", RUN),
    Route("POST", "runs/delete", Rule.NAMED, "maintainer"),
    Route("POST", "runs/restore", Rule.NAMED, "maintainer"),
    Route("POST", "runs/log-metric", Rule.NAMED, "researcher", RUN),
    Route("POST", "runs/log-parameter", Rule.NAMED, "researcher", RUN),
    Route("POST", "runs/log-batch", Rule.NAMED, "researcher", RUN),
    Route("POST", "runs/log-model", Rule.NAMED, "researcher", RUN),
    Route("POST", "runs/log-inputs", Rule.NAMED, "researcher", RUN),
    Route("POST", "runs/outputs", Rule.NAMED, "researcher", RUN),
    Route("POST", "runs/set-tag", Rule.NAMED, "researcher", RUN),
    Route("POST", "runs/delete-tag", Rule.NAMED, "researcher", RUN),
    Route("GET", "metrics/get-history", Rule.NAMED, "guest", RUN),
    Route("GET", "metrics/get-history-bulk", Rule.NAMED, "guest", RUN, AJAX),
    Route("GET", "metrics/get-history-bulk-interval", Rule.NAMED, "guest", RUN),
)
LOGGED_MODELS = (
    Route("POST", "logged-models", Rule.NEW_LOGGED_MODEL, "researcher", EXPERIMENT),
    Route("POST", "logged-models/search", Rule.IN_EXPERIMENTS, "guest", EXPERIMENT),
    Route("GET", "logged-models/{model_id}", Rule.NAMED, "guest", RUN),
    Route("PATCH", "logged-models/{model_id}", Rule.NAMED, "researcher", RUN),
    Route("DELETE", "logged-models/{model_id}", Rule.NAMED, "maintainer"),
    Route("POST", "logged-models/{model_id}/params", Rule.NAMED, "researcher", RUN),
    Route("PATCH", "logged-models/{model_id}/tags", Rule.NAMED, "researcher", RUN),
    Route("DELETE", "logged-models/{model_id}/tags/{tag_key}", Rule.NAMED, "researcher", RUN),
    Route("GET", "logged-models/{model_id}/artifacts/directories", Rule.NAMED, "reporter", RUN),
    Route("GET", "logged-models/{model_id}/artifacts/files", Rule.NAMED, "reporter", RUN, AJAX, streams=True),
)
REGISTERED_MODELS = (
    Route("POST", "registered-models/create", Rule.MODEL, "researcher"),
    Route("GET", "registered-models/get", Rule.MODEL, "guest"),
    Route("PATCH", "registered-models/update", Rule.MODEL, "researcher"),
    Route("POST", "registered-models/rename", Rule.MODEL, "maintainer"),
    Route("DELETE", "registered-models/delete", Rule.MODEL, "maintainer"),
    Route("GET", "registered-models/search", Rule.LIST_MODELS, "guest"),
    Route("POST", "registered-models/get-latest-versions", Rule.MODEL, "guest"),
    Route("GET", "registered-models/get-latest-versions", Rule.MODEL, "guest"),
    Route("POST", "registered-models/set-tag", Rule.MODEL, "researcher"),
    Route("DELETE", "registered-models/delete-tag", Rule.MODEL, "researcher"),
    Route("POST", "registered-models/alias", Rule.MODEL, "researcher"),
    Route("DELETE", "registered-models/alias", Rule.MODEL, "researcher"),
    Route("GET", "registered-models/alias", Rule.MODEL, "guest"),
    Route("POST", "model-versions/create", Rule.NEW_VERSION, "researcher"),
    Route("GET", "model-versions/get", Rule.MODEL, "guest"),
    Route("PATCH", "model-versions/update", Rule.MODEL, "researcher"),
    Route("DELETE", "model-versions/delete", Rule.MODEL, "maintainer"),
    Route("GET", "model-versions/search", Rule.LIST_MODELS, "guest"),
    Route("GET", "model-versions/get-download-uri", Rule.MODEL, "reporter"),
    Route("POST", "model-versions/set-tag", Rule.MODEL, "researcher"),
    Route("DELETE", "model-versions/delete-tag", Rule.MODEL, "researcher"),
    Route("POST", "model-versions/transition-stage", Rule.MODEL, "researcher"),
)
ARTIFACTS = (
    Route("GET", "artifacts/list", Rule.NAMED, "reporter", RUN),
    Route("GET", "get-artifact", Rule.NAMED, "reporter", RUN, TOP, streams=True),
    Route("GET", "model-versions/get-artifact", Rule.MODEL, "reporter", NOTHING, TOP, streams=True),
    Route("POST", "upload-artifact", Rule.NAMED, "researcher", RUN, AJAX, streams=True),
    Route("GET", "artifacts", Rule.ARTIFACT_LIST, "reporter", RUN, FILES),
    Route("GET", "artifacts/{path}", Rule.ARTIFACT, "reporter", RUN, FILES, streams=True),
    Route("PUT", "artifacts/{path}", Rule.ARTIFACT, "researcher", RUN, FILES, streams=True),
    Route("DELETE", "artifacts/{path}", Rule.ARTIFACT, "maintainer", NOTHING, FILES),
)
SERVER = (
    Route("GET", "health", Rule.OPEN, "guest", EXPERIMENT, TOP),
    Route("GET", "version", Rule.OPEN, "guest", EXPERIMENT, TOP),
    Route("GET", "server-info", Rule.OPEN, "guest", EXPERIMENT, ("api/3.0/mlflow/", "ajax-api/3.0/mlflow/")),
)
ROUTES: tuple[Route, ...] = (*EXPERIMENTS, *RUNS, *LOGGED_MODELS, *REGISTERED_MODELS, *ARTIFACTS, *SERVER)


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    path: str
    """As asked, without a leading slash."""
    variables: dict[str, str]


def find(method: str, path: str) -> Match | None:
    """The route that lets this request through; None denies it. Nothing is normalized: other spellings do not match."""
    for pattern, route in _PATTERNS:
        if route.method == method and (match := pattern.fullmatch(path)):
            return Match(route, path, match.groupdict())
    return None


def _pattern(prefix: str, path: str) -> re.Pattern[str]:
    text = re.escape(prefix + path).replace(r"\{", "{").replace(r"\}", "}")
    text = text.replace("{path}", "(?P<path>.+)").replace("{tag_key}", "(?P<tag_key>[^/]+)")
    return re.compile(text.replace("{model_id}", r"(?P<model_id>m-[0-9a-f]+)"), re.DOTALL)


_PATTERNS = tuple((_pattern(prefix, route.path), route) for route in ROUTES for prefix in route.prefixes)
