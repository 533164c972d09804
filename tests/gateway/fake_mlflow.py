"""As much of MLflow's REST API as the gateway itself uses, with MLflow's own rules and words for what it refuses."""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass
class FakeRun:
    run_id: str
    experiment_id: str
    name: str
    start_time: int
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    status: str = "RUNNING"
    end_time: int | None = None
    deleted: bool = False

    @property
    def info(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "experiment_id": self.experiment_id,
            "run_name": self.name,
            "status": self.status,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "artifact_uri": f"mlflow-artifacts:/{self.experiment_id}/{self.run_id}/artifacts",
            "lifecycle_stage": "deleted" if self.deleted else "active",
        }


class Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.answer = httpx.Response(status, json={"error_code": code, "message": code})


class FakeMlflow:
    """The handler of an `httpx.MockTransport`."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, FakeRun] = {}
        self.artifacts: dict[str, bytes] = {}
        self.away = False
        self.lost_answers: list[str] = []
        """Paths of which the next call is done and its answer lost."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("away")
        path = request.url.path
        try:
            answer = self._answer(request, path)
        except Refusal as refusal:
            return refusal.answer
        if path.removeprefix(API) in self.lost_answers:
            self.lost_answers.remove(path.removeprefix(API))
            raise httpx.ReadError("lost")
        return answer

    def of(self, gateway_run: object) -> list[FakeRun]:
        """MLflow's runs of a run of the gateway that are not deleted."""
        return [r for r in self.runs.values() if r.tags.get("mantik.runId") == str(gateway_run) and not r.deleted]

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "/health":
            return httpx.Response(200, text="OK")
        if path.startswith(ARTIFACTS) and request.method == "PUT":
            self.artifacts[path.removeprefix(ARTIFACTS)] = request.content
            return httpx.Response(200, json={})
        calls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "GET experiments/get-by-name": self._experiment,
            "POST experiments/create": self._create_experiment,
            "POST runs/create": self._create_run,
            "POST runs/search": self._search,
            "GET runs/get": lambda body: {"run": {"info": self._run(body).info}},
            "POST runs/update": self._update,
            "POST runs/log-batch": self._log_batch,
            "POST runs/delete": self._delete,
        }
        call = calls.get(f"{request.method} {path.removeprefix(API)}")
        if call is None:
            raise Refusal(404, "ENDPOINT_NOT_FOUND")
        body = dict(request.url.params) if request.method == "GET" else json.loads(request.content)
        return httpx.Response(200, json=call(body))

    def _experiment(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["experiment_name"]
        if name not in self.experiments:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST")
        key = self.experiments[name]
        found = {"experiment_id": key, "name": name, "artifact_location": f"mlflow-artifacts:/{key}"}
        return {"experiment": {**found, "lifecycle_stage": "active"}}

    def _create_experiment(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["name"]
        if name in self.experiments:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS")
        self.experiments[name] = str(len(self.experiments) + 1)
        return {"experiment_id": self.experiments[name]}

    def _create_run(self, body: dict[str, Any]) -> dict[str, Any]:
        """Not idempotent, as the real one."""
        if body["experiment_id"] not in self.experiments.values():
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST")
        tags = {tag["key"]: tag["value"] for tag in body.get("tags", ())}
        made = FakeRun(secrets.token_hex(16), body["experiment_id"], body["run_name"], int(body["start_time"]), tags)
        self.runs[made.run_id] = made
        return {"run": {"info": made.info}}

    def _search(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = re.fullmatch(r"tags\.`([^`]+)` = '([^']*)'", body["filter"])
        if asked is None:
            raise Refusal(400, "INVALID_PARAMETER_VALUE")
        found = [r for r in self.runs.values() if r.experiment_id in body["experiment_ids"] and not r.deleted]
        return {"runs": [{"info": r.info} for r in found if r.tags.get(asked[1]) == asked[2]]}

    def _update(self, body: dict[str, Any]) -> dict[str, Any]:
        run = self._active(body)
        if body["status"] not in ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"):
            raise Refusal(400, "INVALID_PARAMETER_VALUE")
        run.status, run.end_time = body["status"], body.get("end_time", run.end_time)
        return {"run_info": run.info}

    def _log_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        run = self._active(body)
        params = {p["key"]: p["value"] for p in body.get("params", ())}
        if any(run.params.get(key, value) != value for key, value in params.items()):
            raise Refusal(400, "INVALID_PARAMETER_VALUE")
        run.params |= params
        run.tags |= {tag["key"]: tag["value"] for tag in body.get("tags", ())}
        return {}

    def _delete(self, body: dict[str, Any]) -> dict[str, Any]:
        self._active(body).deleted = True
        return {}

    def _run(self, body: dict[str, Any]) -> FakeRun:
        if body["run_id"] not in self.runs:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST")
        return self.runs[body["run_id"]]

    def _active(self, body: dict[str, Any]) -> FakeRun:
        run = self._run(body)
        if run.deleted:
            raise Refusal(400, "INVALID_PARAMETER_VALUE")
        return run
