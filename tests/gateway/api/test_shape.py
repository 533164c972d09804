"""One shape for every error, ids, limits and headers, whatever goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from gateway.api.app import create_app
from gateway.context import Context
from gateway.db.session import Database
from tests.gateway.world import World

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PROBLEM = {"type", "title", "status", "detail", "code", "requestId", "nextStep", "errors"}


def client(context: Context, **settings: Any) -> httpx.AsyncClient:
    """An application with other settings."""
    app = create_app(replace(context, settings=context.settings.model_copy(update=settings)))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway.test/api/v1")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nowhere", None, 404, "NOT_FOUND"),
        ("PATCH", "/projects", None, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/projects", None, 401, "UNAUTHENTICATED"),
        ("POST", "/mantik/tokens/create", {"username": "a"}, 422, "INVALID_INPUT"),
    ],
)
async def test_the_shape(api: httpx.AsyncClient, method: str, path: str, body: Any, status: int, code: str) -> None:
    answer = await api.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == PROBLEM
    assert (problem["status"], problem["code"], problem["requestId"]) == (status, code, answer.headers["x-request-id"])


async def test_validation_names_each_field_and_repeats_no_value(api: httpx.AsyncClient, world: World) -> None:
    admin = await world.person("admin", admin=True)
    body = {"name": "has space", "password": "S3cret", "isAdmin": "perhaps", "extra": "S3cret"}
    answer = await api.post("/users", json=body, headers=admin.headers)
    assert {e["field"] for e in answer.json()["errors"]} == {"name", "password", "isAdmin", "extra"}
    assert "S3cret" not in answer.text
    untyped = await api.post("/users", content=b"{}", headers=admin.headers)
    assert "sent with Content-Type: application/json" in untyped.json()["detail"]
    as_json = {**admin.headers, "content-type": "application/json"}
    broken = await api.post("/users", content=b'{"name": ', headers=as_json)
    assert "is not valid JSON" in broken.json()["detail"]
    path = await api.get("/projects/not-a-uuid", headers=admin.headers)
    assert path.json()["errors"][0]["field"] == "projectId"


async def test_a_body_on_get_is_ignored(api: httpx.AsyncClient, world: World) -> None:
    headers = {**(await world.person("alice")).headers, "content-type": "application/json"}
    assert (await api.request("GET", "/users/me", content=b"{}", headers=headers)).status_code == 200


async def test_a_body_too_large_is_refused_by_its_announced_length_and_while_it_streams(
    context: Context, world: World
) -> None:
    headers = {**(await world.person("alice")).headers, "content-type": "application/json"}
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 1024

    async with client(context, max_body_bytes=4096) as api:
        announced = await api.post("/projects", content=b"x" * 5000, headers=headers)
        streamed = await api.post("/projects", content=endless(), headers=headers)
        small = await api.post("/projects", json={"name": "p"}, headers=headers)
    assert (announced.status_code, streamed.status_code, small.status_code) == (413, 413, 201)
    assert announced.json()["code"] == streamed.json()["code"] == "TOO_LARGE"
    assert sent < 20


async def test_each_user_has_a_rate_of_their_own(context: Context, world: World) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    async with client(context, requests_per_minute=3) as api:
        statuses = [(await api.get("/users/me", headers=alice.headers)).status_code for _ in range(4)]
        last = await api.get("/users/me", headers=alice.headers)
        assert (await api.get("/users/me", headers=bob.headers)).status_code == 200
        unknown = [(await api.get("/users/me")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert unknown == [401, 401, 401, 429]
    assert int(last.headers["retry-after"]) > 0
    assert "Try again in" in last.json()["detail"]


async def test_a_given_request_id_goes_through_to_the_audit(api: httpx.AsyncClient, world: World) -> None:
    headers = {**(await world.person("alice")).headers, "X-Request-ID": "my-request-1"}
    answer = await api.post("/projects", json={"name": "p"}, headers=headers)
    assert answer.headers["x-request-id"] == "my-request-1"
    assert (await world.audit())[-1].request_id == "my-request-1"
    odd = await api.get("/version", headers={"X-Request-ID": "<script>alert(1)</script>"})
    assert "script" not in odd.headers["x-request-id"]


async def test_a_fault_is_one_sentence_without_a_traceback(
    api: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("S3cret internals")

    monkeypatch.setattr("gateway.projects.service.listing", broken)
    answer = await api.get("/projects", headers=(await world.person("alice")).headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "S3cret" not in answer.text
    assert answer.json()["requestId"] == answer.headers["x-request-id"]


async def test_a_database_that_is_away_is_503(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Database) -> None:
        raise OperationalError("SELECT 1", {}, Exception("connection refused"))

    monkeypatch.setattr(Database, "reading", away)
    answer = await api.get("/health")
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")


async def test_health_tells_of_tracking(api: httpx.AsyncClient, mlflow: Any) -> None:
    assert (await api.get("/health")).json() == {"status": "ok", "database": "ok", "tracking": "ok"}
    mlflow.away = True
    assert (await api.get("/health")).json()["status"] == "degraded"


async def test_security_headers(api: httpx.AsyncClient) -> None:
    headers = (await api.get("/version")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_only_allowed_hosts(context: Context) -> None:
    async with client(context, allowed_hosts=("gateway.test",)) as api:
        assert (await api.get("/version")).status_code == 200
        other = await api.get("/version", headers={"host": "evil.example:80"})
    assert (other.status_code, other.json()["detail"].startswith("Host: ")) == (422, True)


async def test_openapi_is_3_1_in_camel_case_with_one_error_shape(app: FastAPI) -> None:
    document = app.openapi()
    assert document["openapi"].startswith("3.1")
    operations = [o for item in document["paths"].values() for o in item.values()]
    names = [o["operationId"] for o in operations]
    assert len(set(names)) == len(names)
    assert all(name[0].islower() and "_" not in name for name in names)
    assert all(problem_ref(o["responses"]["4XX"]) for o in operations)
    parameters = [p for o in operations for p in o.get("parameters", []) if p["in"] in ("path", "query")]
    assert all("_" not in p["name"] for p in parameters)


def problem_ref(answer: dict[str, Any]) -> bool:
    return any(c.get("schema", {}).get("$ref", "").endswith("/Problem") for c in answer["content"].values())


async def test_many_at_once_are_all_answered(api: httpx.AsyncClient, world: World) -> None:
    headers = (await world.person("alice")).headers
    made = await asyncio.gather(*(api.post("/projects", json={"name": f"p{n}"}, headers=headers) for n in range(20)))
    assert {answer.status_code for answer in made} == {201}
