"""Models that a run logged: logged models of MLflow 3, and folders of artifacts with a file `MLmodel`."""

import posixpath
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from gateway.errors import Conflict, InvalidInput
from gateway.tracking import artifacts
from gateway.tracking.client import ARTIFACTS, TrackingClient, TrackingRefused
from gateway.tracking.transport import decoded

MARK = "MLmodel"
OWN = "mantik"
"""Folder of a run with config and script, where no model lies."""
MOST_FOLDERS = 200
"""How many folders of a run are looked into."""
MOST_FILES = 20_000
IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Logged:
    """Something that can be registered."""

    path: str
    """Name of the logged model, or folder among the artifacts."""
    source: str
    """URI of its bytes."""
    mlflow_run_id: str | None
    logged_model_id: str | None = None
    ready: bool = True
    """False while its files are being uploaded."""

    def __str__(self) -> str:
        return f"{self.path} ({self.logged_model_id})" if self.logged_model_id else self.path


@dataclass(frozen=True, slots=True)
class File:
    path: str
    """Relative to the model."""
    size: int
    """Bytes."""


async def logged_by(client: TrackingClient, mlflow_run_id: str) -> list[Logged]:
    """All that can be registered of a run, logged models first. Raises Conflict for a run with too many folders."""
    run = (await client.call("GET", "runs/get", query=[("run_id", mlflow_run_id)]))["run"]["info"]
    found = await _logged_models(client, str(run["experiment_id"]), mlflow_run_id)
    return found + [folder async for folder in _folders(client, mlflow_run_id)]


async def folder_at(client: TrackingClient, mlflow_run_id: str, path: str) -> Logged | None:
    """The model at this very folder of the run's artifacts."""
    artifacts.parse_relative(path)
    root, files, _ = await _list(client, mlflow_run_id, path)
    return Logged(path, posixpath.join(root, path), mlflow_run_id) if posixpath.join(path, MARK) in files else None


async def logged_model(client: TrackingClient, logged_model_id: str) -> tuple[str, Logged]:
    """Its experiment and itself. Raises TrackingRefused."""
    info = (await client.call("GET", f"logged-models/{logged_model_id}"))["model"]["info"]
    return str(info["experiment_id"]), _logged(info)


async def files_of(client: TrackingClient, source: str) -> list[File]:
    """Every file of a model that MLflow keeps itself, in a fixed order. Raises Conflict for one elsewhere."""
    top = _place(source)
    found: list[File] = []
    left = [""]
    while left:
        folder = left.pop()
        query = [("path", posixpath.join(top, folder).rstrip("/"))]
        answer = decoded(await client.send("GET", ARTIFACTS.rstrip("/"), query=query))
        for item in answer.get("files", ()):
            path = posixpath.join(folder, str(item["path"]))
            artifacts.parse_relative(path)
            if item.get("is_dir"):
                left.append(path)
            else:
                found.append(File(path, int(item.get("file_size") or 0)))
        if len(found) + len(left) > MOST_FILES:
            raise Conflict(f"The model has more than {MOST_FILES} files.", next_step="Load it with MLflow's client.")
    return sorted(found, key=lambda file: file.path)


async def content(client: TrackingClient, source: str, path: str) -> AsyncIterator[bytes]:
    """The bytes of one file, as they come."""
    place = quote(posixpath.join(_place(source), path))
    async with client.stream("GET", ARTIFACTS + place, idle_seconds=IDLE_SECONDS) as answer:
        async for chunk in answer.aiter_raw():
            yield chunk


def _place(source: str) -> str:
    parts = urlsplit(source)
    if parts.scheme != "mlflow-artifacts":
        raise Conflict(
            f"The model lies at {source}, where the gateway does not reach.",
            next_step="Fetch it from there with your own credentials.",
        )
    return parts.path.lstrip("/")


async def _logged_models(client: TrackingClient, experiment_id: str, mlflow_run_id: str) -> list[Logged]:
    found: list[Logged] = []
    token = ""
    while True:
        body = {"experiment_ids": [experiment_id], "filter": f"source_run_id = '{mlflow_run_id}'"}
        try:
            answer = await client.call("POST", "logged-models/search", body | ({"page_token": token} if token else {}))
        except TrackingRefused as error:
            if error.http_status == 404:  # a server of MLflow 2 has none
                return []
            raise
        infos = [model["info"] for model in answer.get("models", ())]
        found += [model for model in map(_logged, infos) if model.ready]
        token = answer.get("next_page_token") or ""
        if not token:
            return found


def _logged(info: dict[str, Any]) -> Logged:
    model_id, ready = str(info["model_id"]), info.get("status") == "LOGGED_MODEL_READY"
    return Logged(str(info["name"]), str(info["artifact_uri"]), info.get("source_run_id") or None, model_id, ready)


async def _folders(client: TrackingClient, mlflow_run_id: str) -> AsyncIterator[Logged]:
    left, seen = [""], 0
    while left:
        path = left.pop(0)
        seen += 1
        if seen > MOST_FOLDERS:
            raise InvalidInput(
                f"artifactPath: is required, because the run has more than {MOST_FOLDERS} folders of artifacts. Give "
                "that of the model."
            )
        root, files, folders = await _list(client, mlflow_run_id, path)
        if path and posixpath.join(path, MARK) in files:
            yield Logged(path, posixpath.join(root, path), mlflow_run_id)
        else:
            left += [folder for folder in folders if folder != OWN]


async def _list(client: TrackingClient, mlflow_run_id: str, path: str) -> tuple[str, list[str], list[str]]:
    """The URI of the run's artifacts, and the paths of files and folders below one of its folders."""
    files: list[str] = []
    folders: list[str] = []
    token = ""
    while True:
        query = [("run_id", mlflow_run_id), *([("path", path)] if path else [])]
        answer = await client.call("GET", "artifacts/list", query=query + ([("page_token", token)] if token else []))
        for item in answer.get("files", ()):
            (folders if item.get("is_dir") else files).append(str(item["path"]))
        token = answer.get("next_page_token") or ""
        if not token:
            return str(answer["root_uri"]), files, sorted(folders)
