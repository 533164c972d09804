"""What the gateway does in MLflow, by its REST API. MLflow itself is never imported: that takes seconds and 200 MB."""

import asyncio
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID
from weakref import WeakValueDictionary

import httpx

from gateway.tracking.transport import TrackingRefused, TrackingUnavailable, Transport

__all__ = ["ExperimentRef", "TrackingClient", "TrackingRefused", "TrackingUnavailable"]

RUN_TAG = "mantik.runId"
"""Tag of a run in MLflow that holds the gateway's id: `runs/create` is not idempotent, so we search by it."""
MOST_PER_BATCH = 100
MOST_TAG, MOST_PARAM = 8000, 6000
"""Longest values MLflow takes, in characters."""
MOST_ARCHIVES = 8
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts/"


@dataclass(frozen=True, slots=True)
class ExperimentRef:
    id: str
    artifact_location: str


class TrackingClient(Transport):
    """What the gateway does in MLflow. Errors as in Transport."""

    def __init__(
        self, uri: str, http: httpx.AsyncClient | None = None, *, seconds: float = 5.0, socket: Path | None = None
    ) -> None:
        super().__init__(uri, http, seconds=seconds, socket=socket)
        self.archives = asyncio.Semaphore(MOST_ARCHIVES)
        """Held while the files of a model are sent, so that slow readers leave connections for all else."""
        self._making: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def healthy(self) -> bool:
        try:
            await self.send("GET", "health")
        except (TrackingUnavailable, TrackingRefused):
            return False
        return True

    async def ensure_experiment(self, name: str) -> ExperimentRef:
        """May be repeated and raced: one experiment per name."""
        found = await self._experiment(name)
        if found is None:
            try:
                await self.call("POST", "experiments/create", {"name": name})
            except TrackingRefused as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = await self._experiment(name)
        if found is None:
            raise TrackingUnavailable("The tracking server did not keep a new experiment.")
        if found.get("lifecycle_stage") == "deleted":
            await self.call("POST", "experiments/restore", {"experiment_id": found["experiment_id"]})
        return ExperimentRef(found["experiment_id"], found.get("artifact_location", ""))

    def making(self, run_id: UUID) -> asyncio.Lock:
        """Held while MLflow's run of a run is looked for and made, so that one process makes no two."""
        return self._making.setdefault(run_id, asyncio.Lock())

    async def runs_of(self, experiment_id: str, run_id: UUID) -> list[str]:
        """MLflow's ids of what `create_run` made for a run of the gateway, the oldest first."""
        body = {"experiment_ids": [experiment_id], "filter": f"tags.`{RUN_TAG}` = '{run_id}'", "max_results": 100}
        runs = [r["info"] for r in (await self.call("POST", "runs/search", body)).get("runs", ())]
        return [str(info["run_id"]) for info in sorted(runs, key=lambda i: (int(i["start_time"]), i["run_id"]))]

    async def create_run(
        self, experiment_id: str, run_id: UUID, name: str, user: str, tags: Mapping[str, str], start_time: datetime
    ) -> str:
        """MLflow's id of a new run. Not idempotent: after TrackingUnavailable `runs_of` may find one."""
        body = {
            "experiment_id": experiment_id,
            "run_name": name,
            "user_id": user,
            "start_time": _milliseconds(start_time),
            "tags": _pairs({**tags, "mlflow.user": user, RUN_TAG: str(run_id)}, MOST_TAG),
        }
        return str((await self.call("POST", "runs/create", body))["run"]["info"]["run_id"])

    async def update_run(self, mlflow_run_id: str, status: str, end_time: datetime | None = None) -> None:
        end = {"end_time": _milliseconds(end_time)} if end_time else {}
        await self.call("POST", "runs/update", {"run_id": mlflow_run_id, "status": status, **end})

    async def delete_run(self, mlflow_run_id: str) -> None:
        """Marks it deleted; nothing happens when it is, or never was."""
        try:
            await self.call("POST", "runs/delete", {"run_id": mlflow_run_id})
        except TrackingRefused as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise

    async def set_tags(self, mlflow_run_id: str, tags: Mapping[str, str]) -> None:
        await self._log_batch(mlflow_run_id, "tags", _pairs(tags, MOST_TAG))

    async def log_params(self, mlflow_run_id: str, params: Mapping[str, str]) -> None:
        """May be repeated with the same values; MLflow refuses to change one."""
        await self._log_batch(mlflow_run_id, "params", _pairs(params, MOST_PARAM))

    async def log_artifact(self, mlflow_run_id: str, path: str, content: bytes) -> None:
        """Stores bytes as the run's artifact `path`, through the server's artifact proxy; replaces what was there."""
        await self.log_artifacts(mlflow_run_id, {path: content})

    async def log_artifacts(self, mlflow_run_id: str, contents: Mapping[str, bytes]) -> None:
        """As `log_artifact`, several by their paths."""
        answer = await self.call("GET", "runs/get", query=[("run_id", mlflow_run_id)])
        location = urlsplit(answer["run"]["info"]["artifact_uri"])
        if location.scheme != "mlflow-artifacts":
            raise TrackingRefused("The tracking server does not keep artifacts itself.")
        for path, content in contents.items():
            target = posixpath.join(location.path.lstrip("/"), path)
            await self.send("PUT", ARTIFACTS + quote(target), content=content)

    async def _experiment(self, name: str) -> dict[str, Any] | None:
        try:
            answer = await self.call("GET", "experiments/get-by-name", query=[("experiment_name", name)])
        except TrackingRefused as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return dict(answer["experiment"])

    async def _log_batch(self, mlflow_run_id: str, kind: str, pairs: list[dict[str, str]]) -> None:
        for start in range(0, len(pairs), MOST_PER_BATCH):
            batch = pairs[start : start + MOST_PER_BATCH]
            await self.call("POST", "runs/log-batch", {"run_id": mlflow_run_id, kind: batch})


def _pairs(values: Mapping[str, str], longest: int) -> list[dict[str, str]]:
    return [{"key": key, "value": value[:longest]} for key, value in values.items()]


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
