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
        self._creating: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

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

    async def ensure_run(
        self,
        *,
        experiment_id: str,
        run_id: UUID,
        name: str,
        user: str,
        tags: Mapping[str, str],
        start_time: datetime,
        first_try: bool = False,
    ) -> str:
        """MLflow's id of the gateway's run, made if there is none. May be repeated, also after an unclear end.

        Of several made by a race of two gateways the oldest stays; the database's link decides between their answers.
        `first_try`: nobody can have made it yet, so it is not searched; whoever finds another one linked deletes this.
        """
        key = str(run_id)
        lock = self._creating.setdefault(key, asyncio.Lock())
        async with lock:
            if not first_try and (found := await self._only_run(experiment_id, key)):
                return found
            body = {
                "experiment_id": experiment_id,
                "run_name": name,
                "user_id": user,
                "start_time": _milliseconds(start_time),
                "tags": _pairs({**tags, "mlflow.user": user, RUN_TAG: key}, MOST_TAG),
            }
            try:
                made: str = (await self.call("POST", "runs/create", body))["run"]["info"]["run_id"]
            except TrackingUnavailable:
                if found := await self._only_run(experiment_id, key):
                    return found
                raise
            return made if first_try else await self._only_run(experiment_id, key) or made

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

    async def _only_run(self, experiment_id: str, run_id: str) -> str | None:
        body = {"experiment_ids": [experiment_id], "filter": f"tags.`{RUN_TAG}` = '{run_id}'", "max_results": 100}
        runs = [r["info"] for r in (await self.call("POST", "runs/search", body)).get("runs", ())]
        if not runs:
            return None
        oldest, *others = sorted(runs, key=lambda info: (int(info["start_time"]), info["run_id"]))
        for other in others:
            await self.delete_run(other["run_id"])
        return str(oldest["run_id"])

    async def _log_batch(self, mlflow_run_id: str, kind: str, pairs: list[dict[str, str]]) -> None:
        for start in range(0, len(pairs), MOST_PER_BATCH):
            batch = pairs[start : start + MOST_PER_BATCH]
            await self.call("POST", "runs/log-batch", {"run_id": mlflow_run_id, kind: batch})


def _pairs(values: Mapping[str, str], longest: int) -> list[dict[str, str]]:
    return [{"key": key, "value": value[:longest]} for key, value in values.items()]


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
