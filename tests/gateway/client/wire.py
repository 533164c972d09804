"""A gateway's wire on loopback, with faults: what the client and the command line are tested against."""

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Conflict, FieldProblem, GatewayError, InvalidInput, NotFound, TooMany, Unauthenticated
from gateway.schemas.wire import InvalidField, Problem
from tests.gateway.client.budget_wire import OFF
from tests.gateway.client.budget_wire import add_routes as add_budget_routes
from tests.gateway.client.retention_wire import Retention
from tests.gateway.client.retention_wire import add_routes as add_retention_routes
from tests.gateway.client.subscription_wire import SUBSCRIPTION, add_routes, delivery_view, subscription_view

PREFIX = "/api/v1"
MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = MADE.isoformat().replace("+00:00", "Z")


def identifier(n: int) -> str:
    return str(uuid.UUID(int=n))


USER, PROJECT, EXPERIMENT, CODE, SITE, CONNECTION, RUN = (identifier(n) for n in range(1, 8))
BOB, SCHEDULE, FIRING = (identifier(n) for n in range(8, 11))
MODEL = identifier(30)
NOBODY = {"userId": USER, "name": "ada"}


@dataclass
class Wire:
    """The state of the server, and what it was asked."""

    url: str = ""
    password: str = "correct horse"
    tokens: set[str] = field(default_factory=set)
    refresh_works: bool = True
    made_tokens: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, end of the path, fault): each used once, the first that fits."""
    keys: dict[str, str] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    streams: list[list[tuple[str, str, dict[str, Any]]]] = field(default_factory=list)
    """Events of each opened log stream; one whose last event is no `end` is cut, after `hang` it stays open."""
    opened: list[tuple[str | None, str | None]] = field(default_factory=list)
    """Last-Event-ID and tail of each opened log stream."""
    log: bytes = b""
    archive: bytes = b""
    """Of the model."""
    tested: dict[str, Any] = field(default_factory=dict)
    """What came back for a message that was sent to try a subscription."""
    states: list[str] = field(default_factory=list)
    """States that the run takes at the next looks."""
    warnings: list[str] = field(default_factory=list)
    """Of runs that are submitted."""
    things: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    budget: dict[str, Any] = field(default_factory=lambda: dict(OFF))
    page: int = 2
    piece: int = 5
    """Most items of a page, and bytes of a piece of log."""

    def count(self, method: str, end: str) -> int:
        return sum(1 for m, path in self.asked if m == method and path.endswith(end))

    def fault(self, method: str, path: str) -> str | None:
        for found in self.faults:
            if found[0] == method and path.endswith(found[1]):
                self.faults.remove(found)
                return found[2]
        return None


def run_view(**changes: Any) -> dict[str, Any]:
    empty = [
        "reason",
        "message",
        "exitCode",
        "connectionId",
        "siteName",
        "computeBudgetAccount",
        "mlflowRunId",
        "submittedAt",
        "queuedAt",
        "startedAt",
        "endedAt",
        "cancelRequestedAt",
        "deleteRequestedAt",
        "job",
        "config",
        "command",
        "script",
        "scriptSha256",
        "previousRunId",
        "workDirectory",
    ]
    return {
        **dict.fromkeys(empty),
        "runId": RUN,
        "projectId": PROJECT,
        "name": "train",
        "origin": "submitted",
        "state": "RUNNING",
        "status": "RUNNING",
        "conditions": [],
        "experimentRepositoryId": EXPERIMENT,
        "codeRepositoryId": CODE,
        "branch": "main",
        "commit": "c0ffee",
        "mlprojectPath": "MLproject",
        "entryPoint": "main",
        "user": NOBODY,
        "createdAt": STAMP,
        "mlflowParameters": {},
        "backendConfig": {},
        "submitCommand": [],
        "warnings": [],
        "phases": [],
        "lineageId": RUN,
        "logSize": 0,
        **changes,
    }


def example() -> Wire:
    wire = Wire()
    wire.runs[RUN] = run_view()
    base = {"createdAt": STAMP, "description": ""}
    wire.things = {
        "/projects": [
            {"projectId": PROJECT, "name": "demo", "public": False, "publicDetails": False, "role": "owner", **base}
        ],
        f"/projects/{PROJECT}/experiments": [
            {
                "experimentRepositoryId": EXPERIMENT,
                "name": "iris",
                "mlflowExperimentId": "1",
                "artifactLocation": None,
                **base,
            }
        ],
        f"/projects/{PROJECT}/code": [
            {
                "codeRepositoryId": CODE,
                "codeRepositoryName": "models",
                "uri": "https://git.example/models.git",
                "connectionId": None,
                "platform": "Git",
                **base,
            }
        ],
        "/sites": [
            {
                "siteId": SITE,
                "name": "cluster",
                "kind": "slurm",
                "host": "login.example",
                "port": 22,
                "url": None,
                "hostKeys": [],
                "jump": None,
                "tlsCa": None,
                "verifyTls": True,
                "rawJobsAllowed": True,
                "wholeNodesCharged": False,
                "lostAfterDays": 14,
                "workDirectory": "$HOME/mantik",
                "computeNodesReachGateway": "direct",
                "tracking": "local",
                "pollSecondsMin": 2.0,
                "pollSecondsMax": 60.0,
                "limits": {},
                "options": {},
                "createdAt": STAMP,
            }
        ],
        f"/projects/{PROJECT}/schedules": [schedule_view()],
        f"/projects/{PROJECT}/models/trained": [model_view()],
        f"/projects/{PROJECT}/schedules/{SCHEDULE}/firings": [firing_view()],
        f"/users/{USER}/settings/connections": [connection_view()],
        f"/users/{USER}/settings/subscriptions": [subscription_view()],
        f"/users/{USER}/settings/subscriptions/{SUBSCRIPTION}/deliveries": [delivery_view()],
        "/users/me/tokens": [],
        "/users": [user_details(USER, "ada", isAdmin=True), user_details(BOB, "bob")],
        f"/projects/{PROJECT}/members": [{"user": NOBODY, "role": "owner"}],
    }
    return wire


def user_details(user_id: str, name: str, **changes: Any) -> dict[str, Any]:
    return {"userId": user_id, "name": name, "isAdmin": False, "disabledAt": None, "createdAt": STAMP, **changes}


def connection_view(**changes: Any) -> dict[str, Any]:
    return {
        "connectionId": CONNECTION,
        "user": NOBODY,
        "connectionName": "mine",
        "connectionProvider": "slurm",
        "authMethod": "SSH-Key",
        "siteId": SITE,
        "siteName": "cluster",
        "origin": None,
        "loginName": "ada",
        "password": None,
        "token": None,
        "version": 1,
        "publicKey": "ssh-ed25519 AAAA mantik",
        "validUntil": None,
        "refusedAt": None,
        "createdAt": STAMP,
        "lastCheck": None,
        **changes,
    }


def schedule_view(**changes: Any) -> dict[str, Any]:
    empty = ("reason", "message", "startDate", "endDate", "startsAt", "endsAt", "consent")
    return {
        **dict.fromkeys(empty),
        "scheduleId": SCHEDULE,
        "projectId": PROJECT,
        "name": "nightly",
        "state": "ACTIVE",
        "runId": RUN,
        "runName": "train",
        "connectionId": CONNECTION,
        "siteName": "cluster",
        "computeBudgetAccount": "proj1",
        "cronExpression": "30 2 * * *",
        "inWords": "At 02:30",
        "timeZone": "Europe/Berlin",
        "overlapPolicy": "skip",
        "misfirePolicy": "run-all",
        "misfireMost": 10,
        "graceSeconds": 600,
        "maxFailures": 3,
        "failures": 1,
        "enabled": True,
        "followBranch": False,
        "nextAt": "2026-01-03T01:30:00Z",
        "nextLocal": "2026-01-03T02:30+01:00",
        "user": NOBODY,
        "runAs": NOBODY,
        "createdAt": STAMP,
        "changedAt": STAMP,
        **changes,
    }


def model_view(**changes: Any) -> dict[str, Any]:
    cost = {"elapsedSeconds": 3600.0, "nodes": 2, "nodeHours": 2.0, "cpuHours": 96.5, "gpuHours": None, "billing": 16.0}
    origin = {
        "runId": RUN,
        "runName": "train",
        "runDeleted": False,
        "branch": "main",
        "commit": "c0ffee" * 6,
        "codeRepositoryId": CODE,
        "experimentRepositoryId": EXPERIMENT,
        "entryPoint": "main",
        "mlflowRunId": "abc",
        "siteName": "cluster",
        "jobId": "4711",
        "computeBudgetAccount": "proj1",
        "cost": cost,
    }
    return {
        "modelId": MODEL,
        "name": "net",
        "uri": f"models:/{PROJECT}.net/1",
        "location": "MLflow",
        "connectionId": CONNECTION,
        "mlflowParameters": {"epochs": 3},
        "status": "REGISTERED",
        "runId": RUN,
        "projectId": PROJECT,
        "message": None,
        "mlflowName": f"{PROJECT}.net",
        "mlflowVersion": "1",
        "artifactPath": "model",
        "loggedModelId": "m-1",
        "hasImage": False,
        "origin": origin,
        "user": NOBODY,
        "createdAt": STAMP,
        "changedAt": STAMP,
        **changes,
    }


def firing_view(**changes: Any) -> dict[str, Any]:
    return {
        "firingId": FIRING,
        "kind": "cron",
        "nominalAt": "2026-01-02T01:30:00Z",
        "nominalLocal": "2026-01-02T02:30+01:00",
        "actualAt": STAMP,
        "state": "SKIPPED",
        "reason": "OVERLAP",
        "text": "A run was live.",
        "runId": None,
        "runState": None,
        "madeBy": None,
        **changes,
    }


PREVIEW = {
    "cronExpression": "30 2 * * *",
    "inWords": "At 02:30",
    "timeZone": "Europe/Berlin",
    "firings": [
        {"at": "2026-03-28T01:30:00Z", "local": "2026-03-28T02:30+01:00", "note": None},
        {"at": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00+02:00", "note": "02:30 does not exist."},
    ],
    "clockChanges": ["2026-03-29: clocks go forward from 02:00 to 03:00 (2026-03-29 01:00 UTC)."],
    "ends": None,
}


_ID = {
    "projects": "projectId",
    "experiments": "experimentRepositoryId",
    "code": "codeRepositoryId",
    "sites": "siteId",
    "connections": "connectionId",
    "tokens": "tokenId",
    "users": "userId",
    "schedules": "scheduleId",
    "subscriptions": "subscriptionId",
    "trained": "modelId",
}


def app(wire: Wire) -> ASGIApp:
    api = FastAPI(openapi_url=None)

    @api.exception_handler(GatewayError)
    async def failed(request: Request, error: GatewayError) -> JSONResponse:
        return problem(error)

    @api.post(PREFIX + "/mantik/tokens/create", status_code=201)
    async def create_tokens(request: Request) -> dict[str, str]:
        body = await request.json()
        if body["password"] != wire.password:
            raise Unauthenticated("Wrong user name or password.")
        return {**new_token(wire), "RefreshToken": "refresh"}

    @api.post(PREFIX + "/mantik/tokens/refresh", status_code=201)
    async def refresh_tokens(request: Request) -> dict[str, str]:
        body = await request.json()
        if body["refresh_token"] != "refresh" or not wire.refresh_works:
            raise Unauthenticated("Refresh token has expired")
        return new_token(wire)

    @api.get(PREFIX + "/users/me")
    async def me() -> dict[str, Any]:
        return {**NOBODY, "isAdmin": True}

    @api.post(PREFIX + "/users/me/tokens", status_code=201)
    async def create_token(request: Request) -> dict[str, Any]:
        body = await request.json()
        view = {"tokenId": identifier(50), "createdAt": STAMP, "expiresAt": None, "lastUsedAt": None, **body}
        wire.things["/users/me/tokens"].append(view)
        return {**view, "token": "mantik_secret"}

    @api.post(PREFIX + "/sites/scan-host-keys")
    async def scan(host: str, port: int = 22) -> dict[str, Any]:
        return {"host": host, "port": port, "keys": ["ssh-ed25519 AAAAhost"], "fingerprints": ["SHA256:abc (ED25519)"]}

    @api.put(PREFIX + "/sites/{site}")
    async def replace_site(site: str, request: Request) -> dict[str, Any]:
        wire.bodies.append(await request.json())
        return wire.things["/sites"][0]

    @api.get(PREFIX + "/users")
    async def users(name: str = "", cursor: int = 0, limit: int = 50) -> dict[str, Any]:
        found = [user for user in wire.things["/users"] if name in ("", user["name"])]
        return page_of(found, cursor, min(limit, wire.page))

    @api.post(PREFIX + "/users/{user}/{deed}", status_code=204)
    async def switch(user: str, deed: Literal["disable", "enable"]) -> None:
        one(wire, f"users/{user}")["disabledAt"] = STAMP if deed == "disable" else None

    members = PREFIX + "/projects/{project}/members"

    @api.get(members)
    async def list_members(project: str) -> list[dict[str, Any]]:
        return wire.things[f"/projects/{project}/members"]

    @api.put(members + "/{user}")
    async def set_member(project: str, user: str, request: Request) -> dict[str, Any]:
        there = wire.things[f"/projects/{project}/members"]
        name = one(wire, f"users/{user}")["name"]
        member = {"user": {"userId": user, "name": name}, **await request.json()}
        there[:] = [m for m in there if m["user"]["userId"] != user] + [member]
        return member

    @api.delete(members + "/{user}", status_code=204)
    async def remove_member(project: str, user: str) -> None:
        there = wire.things[f"/projects/{project}/members"]
        there[:] = [m for m in there if m["user"]["userId"] != user]

    runs = PREFIX + "/projects/{project}/runs"

    @api.post(runs, status_code=202)
    async def submit(request: Request, dryRun: bool = False) -> dict[str, Any]:  # noqa: N803
        body = await request.json()
        wire.bodies.append(body)
        if dryRun:
            return preview(body)
        key = request.headers["idempotency-key"]
        if key not in wire.keys:
            made = RUN if not wire.keys else identifier(100 + len(wire.keys))
            wire.keys[key] = made
            wire.runs[made] = run_view(runId=made, name=body["name"], state="CREATED", warnings=wire.warnings)
        return {"runId": wire.keys[key], "state": "CREATED"}

    @api.get(runs)
    async def list_runs(request: Request, cursor: int = 0, limit: int = 50, text: str = "") -> dict[str, Any]:
        found = [r for r in wire.runs.values() if text in r["name"]]
        states = request.query_params.getlist("state")
        found = [r for r in found if not states or r["state"] in states]
        return page_of(found, cursor, min(limit, wire.page))

    @api.get(runs + "/{run}")
    async def get_run(run: str) -> dict[str, Any]:
        if run not in wire.runs:
            raise NotFound("There is no such run, or you may not see it.", next_step="See GET /projects/{id}/runs.")
        if wire.states:
            wire.runs[run]["state"] = wire.states.pop(0)
        return wire.runs[run]

    @api.post(runs + "/{run}/cancel")
    async def cancel(run: str) -> dict[str, Any]:
        wire.runs[run]["cancelRequestedAt"] = STAMP
        return wire.runs[run]

    @api.delete(runs + "/{run}", status_code=204)
    async def delete(run: str, cancel: bool = False) -> None:
        if wire.runs[run]["state"] == "RUNNING" and not cancel:
            raise Conflict("The run has not ended.", next_step="Cancel it first, or delete it with cancel=true.")
        del wire.runs[run]

    @api.get(runs + "/{run}/events")
    async def events(run: str, cursor: int = 0, limit: int = 100) -> dict[str, Any]:
        states = ["CREATED", "PREPARING", "RUNNING"]
        found = [
            {
                "eventId": n,
                "time": STAMP,
                "kind": "state",
                "fromState": states[n - 1] if n else None,
                "toState": state,
                "text": f"it is {state}",
                "evidence": {},
                "actor": NOBODY if n == 0 else None,
            }
            for n, state in enumerate(states)
        ]
        return page_of(found, cursor, min(limit, wire.page))

    @api.get(runs + "/{run}/logs")
    async def logs(request: Request, run: str, offset: int = 0, limit: int = 1 << 20) -> Response:
        if wire.retention.log_removed is not None:
            raise NotFound(wire.retention.log_removed)
        tail = request.query_params.get("tail")
        if "text/event-stream" in request.headers["accept"]:
            wire.opened.append((request.headers.get("last-event-id"), tail))
            return Stream(wire.streams.pop(0))
        if tail is not None:
            data = b"".join(wire.log.splitlines(keepends=True)[-int(tail) :])
            offset = len(wire.log) - len(data)
        else:
            data = wire.log[offset : offset + min(limit, wire.piece)]
        places = {"X-Log-Generation": "0", "X-Log-Offset": str(offset), "X-Log-Next": str(offset + len(data))}
        return Response(data, media_type="text/plain", headers=places)

    schedules = PREFIX + "/projects/{project}/schedules"

    @api.get(schedules + "/preview")
    @api.get(schedules + "/{schedule}/preview")
    async def preview_schedule(request: Request) -> dict[str, Any]:
        wire.bodies.append(dict(request.query_params))
        return PREVIEW

    @api.put(schedules + "/{schedule}")
    async def replace_schedule(schedule: str, request: Request) -> dict[str, Any]:
        wire.bodies.append(await request.json())
        return schedule_view(**wire.bodies[-1])

    @api.post(schedules + "/{schedule}/fire-now", status_code=201)
    async def fire_now(schedule: str, request: Request) -> dict[str, Any]:
        wire.bodies.append(await request.json())
        wire.keys.setdefault(request.headers["idempotency-key"], RUN)
        return firing_view(kind="manual", state="FIRED", reason=None, runId=RUN, runState="CREATED", madeBy=NOBODY)

    @api.post(schedules + "/{schedule}/{deed}")
    async def stop_or_go(schedule: str, deed: Literal["pause", "resume"]) -> dict[str, Any]:
        return schedule_view(state="PAUSED" if deed == "pause" else "ACTIVE")

    models = PREFIX + "/projects/{project}/models/trained"

    @api.put(models + "/{model}")
    async def rename_model(model: str, request: Request) -> dict[str, Any]:
        wire.bodies.append(await request.json())
        name = wire.bodies[-1]["name"]
        return model_view(name=name, uri=f"models:/{PROJECT}.{name}/1")

    @api.post(models + "/{model}/docker/build")
    async def build_image(model: str) -> dict[str, str]:
        return {"url": f"{wire.url}/model-images/secret/net.tar.gz"}

    @api.get(models + "/{model}/download")
    async def download(model: str) -> Response:
        return Response(wire.archive, media_type="application/x-tar")

    add_routes(api, PREFIX, wire.bodies, lambda: wire.tested)
    add_retention_routes(api, PREFIX, wire.retention)
    add_budget_routes(api, PREFIX, wire.bodies, wire.budget)

    @api.post(PREFIX + "/users/{user}/settings/connections/{connection}/check")
    async def check(connection: str) -> dict[str, Any]:
        return SITE_INFO

    @api.put(PREFIX + "/users/{user}/settings/connections/{connection}")
    async def change(user: str, connection: str, request: Request) -> dict[str, Any]:
        wire.bodies.append(await request.json())
        return one(wire, f"users/{user}/settings/connections/{connection}")

    @api.get(PREFIX + "/{path:path}")
    async def read(path: str, cursor: int = 0, limit: int = 50) -> dict[str, Any]:
        if f"/{path}" in wire.things:
            return page_of(wire.things[f"/{path}"], cursor, min(limit, wire.page))
        return one(wire, path)

    @api.post(PREFIX + "/{path:path}", status_code=201)
    async def create(path: str, request: Request) -> dict[str, Any]:
        body = await request.json()
        wire.bodies.append(body)
        if body.get("name") == "bad":
            field_problem = FieldProblem("name", "is taken; choose another.")
            raise InvalidInput(problems=[field_problem])
        noun = path.rsplit("/", 1)[-1]
        made = {**wire.things[f"/{path}"][0], **body, _ID[noun]: identifier(40)}
        made = {k: v for k, v in made.items() if k not in ("privateKey", "password", "token")}
        wire.things[f"/{path}"].append(made)
        return made

    @api.delete(PREFIX + "/{path:path}", status_code=204)
    async def remove(path: str) -> None:
        found = one(wire, path)
        wire.things["/" + path.rsplit("/", 1)[0]].remove(found)

    return Faults(api, wire)


SITE_INFO = {
    "user": "ada",
    "host": "login1",
    "version": "slurm 22.05.8",
    "workDirectory": "/home/ada/mantik",
    "queues": [
        {"name": "batch", "default": True, "up": True, "maxSeconds": 86400, "maxNodes": 4, "totalNodes": 8}
        | {"cpusPerNode": 48, "memoryPerNode": 128 << 30, "gpusPerNode": None},
        {"name": "gpu", "default": False, "up": False, "maxSeconds": None, "maxNodes": None, "totalNodes": 2}
        | {"cpusPerNode": 64, "memoryPerNode": None, "gpusPerNode": 4},
    ],
    "accounts": [{"name": "proj1", "default": True, "queues": ["batch"], "remaining": 120.5, "unit": "node hours"}],
    "freeBytes": 5 << 30,
    "freeInodes": 1000,
    "sharedFileSystem": True,
    "notes": [],
}


def preview(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "runId": RUN,
        "previewToken": "p1",
        "commit": "c0ffee",
        "command": "python train.py",
        "script": "#!/bin/bash\npython train.py\n",
        "scriptSha256": "ab" * 32,
        "submitCommand": ["sbatch", "--account=proj1", "job.sh"],
        "loginCommandsBefore": [],
        "loginCommandsAfter": [],
        "config": body["backendConfig"] if isinstance(body["backendConfig"], dict) else {},
        "warnings": ["CPUsPerNode alone means tasks."],
    }


def page_of(items: list[dict[str, Any]], cursor: int, limit: int) -> dict[str, Any]:
    more = cursor + limit
    return {"items": items[cursor:more], "nextCursor": str(more) if more < len(items) else None}


def one(wire: Wire, path: str) -> dict[str, Any]:
    listing, _, wanted = path.rpartition("/")
    noun = listing.rsplit("/", 1)[-1]
    for thing in wire.things.get(f"/{listing}", []):
        if thing[_ID[noun]] == wanted:
            return thing
    raise NotFound()


def new_token(wire: Wire) -> dict[str, str]:
    wire.made_tokens += 1
    token = f"access-{wire.made_tokens}"
    wire.tokens = {token}
    return {"AccessToken": token, "ExpiresAt": (MADE + timedelta(hours=1)).isoformat()}


def problem(error: GatewayError, request_id: str = "req-1") -> JSONResponse:
    errors = [InvalidField(field=p.field, message=p.message) for p in error.problems]
    body = Problem(
        title="Error",
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=request_id,
        next_step=error.next_step,
        errors=errors,
    )
    return JSONResponse(body.model_dump(by_alias=True), error.status, media_type="application/problem+json")


class Stream(Response):
    """Server-sent events; without an `end` the connection is cut in the middle."""

    def __init__(self, events: list[tuple[str, str, dict[str, Any]]]) -> None:
        super().__init__(media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event, place, data in self._events:
            if event == "hang":
                while (await receive())["type"] != "http.disconnect":
                    continue
                return
            text = f"event: {event}\nid: {place}\ndata: {json.dumps(data)}\n\n"
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        if self._events and self._events[-1][0] == "end":
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class Faults:
    """Logs each request, checks its token, and does what a fault says."""

    def __init__(self, inner: ASGIApp, wire: Wire) -> None:
        self._inner, self._wire = inner, wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        self._wire.asked.append((method, path))
        fault = self._wire.fault(method, path)
        response: Response | None = None
        if fault == "lost":
            await self._inner(scope, receive, _nowhere)
            headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
            await send({"type": "http.response.start", "status": 202, "headers": headers})
            return  # uvicorn closes the connection of an answer that is not complete
        if fault == "html":
            response = HTMLResponse("<html>hello</html>")
        elif fault == "html404":
            response = HTMLResponse("<html>not found</html>", 404)
        elif fault == "proxy":
            response = HTMLResponse("<html>bad gateway</html>", 502)
        elif fault == "busy":
            response = problem(TooMany("Too many requests.", next_step="Wait a little."))
            response.headers["Retry-After"] = "0"
        elif fault == "full":
            response = problem(TooMany("You have 1000 live runs.", next_step="Wait for one to end."))
        elif fault == "broken":
            response = problem(GatewayError(), "req-7")
        elif fault == "strange":
            response = JSONResponse({"items": [{"projectId": "no uuid"}]})
        elif "/mantik/tokens/" not in path:
            token = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
            if token not in self._wire.tokens:
                response = problem(Unauthenticated())
        await (response or self._inner)(scope, receive, send)


async def _nowhere(_: Message) -> None:
    """Where an answer goes that is lost."""


class Server:
    """One for all tests; each test brings its own wire."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._app: ASGIApp | None = None

    def serve(self, wire: Wire) -> Wire:
        wire.url, self._app = self.url, app(wire)
        return wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)


@contextmanager
def serving() -> Iterator[Server]:
    """On a free port of loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    running = Server(f"http://127.0.0.1:{listener.getsockname()[1]}{PREFIX}")
    config = uvicorn.Config(running, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
