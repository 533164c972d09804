"""One real call for each row of the tables of scopes. Placeholders like `<run>` are filled from a target."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.tracking.client import TrackingClient


@dataclass(frozen=True)
class Target:
    """A run in MLflow with one of everything: whatever MLflow shows of it has `secret` in it, and of its experiment
    `of_experiment`."""

    run: str
    experiment: str
    experiment_name: str
    secret: str
    of_experiment: str
    model: str = ""

    def filled(self, value: Any, mark: str) -> Any:
        """With what stands for the placeholders; `<number>` is the mark as a number."""
        if isinstance(value, Mapping):
            return {key: self.filled(item, mark) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item, mark) for item in value]
        if value == "<number>":
            return int(mark)
        if isinstance(value, str):
            for name, text in {**vars(self), "mark": mark}.items():
                value = value.replace(f"<{name}>", text)
        return value


Look = Callable[[TrackingClient, Target], Awaitable[Any]]


async def the_run(mlflow: TrackingClient, target: Target) -> Any:
    return await mlflow.call("GET", "runs/get", query=[("run_id", target.run)])


async def the_model(mlflow: TrackingClient, target: Target) -> Any:
    return await mlflow.call("GET", f"logged-models/{target.model}")


async def the_files(mlflow: TrackingClient, target: Target) -> Any:
    return await mlflow.call("GET", "artifacts/list", query=[("run_id", target.run)])


async def children(mlflow: TrackingClient, target: Target) -> Any:
    asked = {"experiment_ids": [target.experiment], "filter": f"tags.mlflow.parentRunId = '{target.run}'"}
    return await mlflow.call("POST", "runs/search", asked)


async def models(mlflow: TrackingClient, target: Target) -> Any:
    found = await mlflow.call("POST", "logged-models/search", {"experiment_ids": [target.experiment]})
    return [model for model in found["models"] if model["info"].get("source_run_id") == target.run]


async def a_tag(mlflow: TrackingClient, target: Target, mark: str) -> None:
    await mlflow.set_tags(target.run, {mark: "v"})


async def a_model_tag(mlflow: TrackingClient, target: Target, mark: str) -> None:
    body = {"model_id": target.model, "tags": [{"key": mark, "value": "v"}]}
    await mlflow.call("PATCH", f"logged-models/{target.model}/tags", body)


REACHED = ("own", "own by its alias", "child")
REFUSED = ("sibling", "elsewhere", "foreign")
"""Another run of the same experiment, one of another experiment of the project, and one of another project."""


@dataclass(frozen=True)
class Call:
    """`shows` stands in the answer to a call that reads. What one writes, or takes away, is looked for by `look`."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the query for GET and for a call with `content`, of the body else."""
    variables: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    shows: str = ""
    look: Look | None = None
    trace: str = "<mark>"
    there_before: Callable[[TrackingClient, Target, str], Awaitable[None]] | None = None
    reached: tuple[str, ...] = REACHED
    refused: tuple[str, ...] = REFUSED

    @property
    def names_the_run(self) -> bool:
        return "<run>" in json.dumps([dict(self.fields), dict(self.variables)])


def reads(fields: Mapping[str, Any], shows: str = "<secret>", **variables: str) -> Call:
    return Call(fields, variables, shows=shows)


def of_experiment(fields: Mapping[str, Any]) -> Call:
    return Call(fields, shows="<of_experiment>", reached=("own",), refused=("elsewhere", "foreign"))


def searches(fields: Mapping[str, Any], shows: str, *, refused: tuple[str, ...] = ("elsewhere", "foreign")) -> Call:
    """Of what is not the run's, nothing shows in what it is answered over its own experiment."""
    return Call(fields, shows=shows, reached=("own",), refused=refused)


def opens(shows: str) -> Call:
    return Call(shows=shows, reached=("own",), refused=())


RUN = {"run_id": "<run>"}
MODEL = {"model_id": "<model>"}
TAG = {"key": "<mark>", "value": "v"}
METRIC = {"key": "<mark>", "value": 1.5, "timestamp": 1, "step": 0}
DATASET = {"dataset": {"name": "<mark>", "digest": "d", "source_type": "local", "source": "s"}}
DESCRIBED = json.dumps({"run_id": "<run>", "artifact_path": "<mark>", "utc_time_created": "2026-01-01", "flavors": {}})
PARENT = {"key": "mlflow.parentRunId", "value": "<run>"}
NEW_MODEL = {"experiment_id": "<experiment>", "name": "<mark>", "source_run_id": "<run>"}
FOLDER = "<experiment>/<run>/artifacts"
READY = "LOGGED_MODEL_READY"

CALLS: Mapping[str, Call] = {
    "GET experiments/get": of_experiment({"experiment_id": "<experiment>"}),
    "GET experiments/get-by-name": of_experiment({"experiment_name": "<experiment_name>"}),
    "POST experiments/search": searches({"max_results": 100}, "<of_experiment>", refused=()),
    "GET experiments/search": searches({"max_results": 100}, "<of_experiment>", refused=()),
    "POST runs/create": Call({"experiment_id": "<experiment>", "run_name": "<mark>", "tags": [PARENT]}, look=children),
    "GET runs/get": reads(RUN),
    "POST runs/search": searches({"experiment_ids": ["<experiment>"]}, "<secret>"),
    "POST runs/update": Call({**RUN, "run_name": "<mark>"}, look=the_run),
    "POST runs/log-metric": Call({**RUN, **METRIC}, look=the_run),
    "POST runs/log-parameter": Call({**RUN, **TAG}, look=the_run),
    "POST runs/log-batch": Call({**RUN, "metrics": [METRIC], "params": [TAG], "tags": [TAG]}, look=the_run),
    "POST runs/log-model": Call({**RUN, "model_json": DESCRIBED}, look=the_run),
    "POST runs/log-inputs": Call({**RUN, "datasets": [DATASET]}, look=the_run),
    # MLflow takes a model as output of a run only once.
    "POST runs/outputs": Call(
        {**RUN, "models": [{**MODEL, "step": "<number>"}]}, look=the_run, reached=("own by its alias", "child")
    ),
    "POST runs/set-tag": Call({**RUN, **TAG}, look=the_run),
    "POST runs/delete-tag": Call({**RUN, "key": "<mark>"}, look=the_run, there_before=a_tag),
    "GET metrics/get-history": reads({**RUN, "metric_key": "loss"}),
    "GET metrics/get-history-bulk": reads({**RUN, "metric_key": "loss"}),
    "GET metrics/get-history-bulk-interval": reads({"run_ids": ["<run>"], "metric_key": "loss", "max_results": 10}),
    "POST logged-models": Call(NEW_MODEL, look=models),
    "POST logged-models/search": searches({"experiment_ids": ["<experiment>"]}, "<secret>"),
    "GET logged-models/{model_id}": reads({}, model_id="<model>"),
    "PATCH logged-models/{model_id}": Call({**MODEL, "status": READY}, MODEL, look=the_model, trace=READY),
    "POST logged-models/{model_id}/params": Call({**MODEL, "params": [TAG]}, MODEL, look=the_model),
    "PATCH logged-models/{model_id}/tags": Call({**MODEL, "tags": [TAG]}, MODEL, look=the_model),
    "DELETE logged-models/{model_id}/tags/{tag_key}": Call(
        {}, {**MODEL, "tag_key": "<mark>"}, look=the_model, there_before=a_model_tag
    ),
    "GET logged-models/{model_id}/artifacts/directories": reads({}, model_id="<model>"),
    "GET logged-models/{model_id}/artifacts/files": reads({"artifact_file_path": "<secret>.txt"}, model_id="<model>"),
    "GET artifacts/list": reads(RUN),
    "GET get-artifact": reads({**RUN, "path": "<secret>.txt"}),
    "POST upload-artifact": Call({"run_uuid": "<run>", "path": "<mark>.txt"}, content=b"text", look=the_files),
    "GET artifacts": reads({"path": FOLDER}),
    "GET artifacts/{path}": reads({}, path=f"{FOLDER}/<secret>.txt"),
    "PUT artifacts/{path}": Call(variables={"path": f"{FOLDER}/<mark>.txt"}, content=b"text", look=the_files),
    "GET health": opens("OK"),
    "GET version": opens("3."),
    "GET server-info": opens("store_type"),
}
"""By method and path of each row of MLflow's routes that run tokens reach."""

ANYTHING = {
    **{"run_id": "<run>", "experiment_id": "<experiment>", "experiment_ids": ["<experiment>"], "model_id": "<model>"},
    **{"name": "net", "new_name": "other", "version": "1", "alias": "best", "stage": "Production", "path": "a.txt"},
    **{"key": "<mark>", "value": "v", "source": "runs:/<run>/a"},
}
"""For the rows that no run token reaches: all that any of them reads."""
ANY_VARIABLES = {"path": f"{FOLDER}/<secret>.txt", "model_id": "<model>", "tag_key": "secret"}


@dataclass(frozen=True)
class OwnCall:
    """A call below the run's path at the gateway; `shows` then stands in what `GET below` answers."""

    body: Any = None
    below: str = ""
    shows: str = ""


OWN_CALLS: Mapping[str, OwnCall] = {
    "GET ": OwnCall(shows='"runId":"<id>"'),
    "GET events": OwnCall(below="events", shows="It runs: <id>."),
    "GET logs": OwnCall(below="logs", shows="a line of <id>"),
    "PUT infrastructure": OwnCall({"hostname": "node<mark>"}, "events", "It runs on node<mark>."),
    "PUT notebook-source": OwnCall({"location": "<mark>.ipynb"}, "events", "the notebook <mark>.ipynb."),
    "PUT status": OwnCall("RUNNING", "events", "The job says RUNNING."),
}
"""By method and endpoint of each of the gateway's scopes."""
