"""Every endpoint x role: who gets in, who is told no, and how. A route that is missing in the table fails the test."""

import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway.api.app import ROUTERS
from gateway.models.links import link_of
from gateway.secrets.notification import Told, secret_of
from tests.gateway.world import API, ROLES, Place, World

WALKERS = (*ROLES, "stranger", "admin", "run", "anonymous")
PUBLIC = "anybody"
TOLD = "the site of one attempt, by its secret address"
PERSON = "any user"
ADMIN = "admin"
SELF = "the owner of these settings"
HOLDER = "the owner of its connection"
LINK = "whoever has its link, for an hour"
LOGIN = "needs no login, and fails without a right password"


@dataclass(frozen=True)
class Row:
    """`least`: a role in the project, or one of the words above. `run`: whether a run token of the project may."""

    method: str
    path: str
    least: str
    status: int = 200
    body: Any = None
    run: bool = False
    query: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


PROJECT = {"name": "renamed", "description": "", "public": False, "publicDetails": False}
CODE = {"codeRepositoryName": "other", "uri": "https://git.example.org/c/d"}
SITE = {"name": "new site", "kind": "local"}
CONNECTION = {
    "connectionName": "git",
    "connectionProvider": "Git",
    "authMethod": "Token",
    "origin": "https://git.example.org",
    "token": "t",
}
P, U = "/projects/{projectId}", "/users/{userId}"
C, R, S = f"{U}/settings/connections", f"{P}/runs", f"{P}/schedules"
N = f"{U}/settings/subscriptions"
SUBSCRIPTION = {"name": "hook", "kind": "webhook", "url": "https://hooks.invalid/a"}
M = f"{P}/models/trained"
SCHEDULE = {"name": "nightly", "runId": "{runId}", "connectionId": "{connectionId}", "cronExpression": "@daily"}
TABLE = (
    Row("GET", "/version", PUBLIC),
    Row("GET", "/health", PUBLIC),
    Row("POST", "/notifications/{secret}", TOLD, 204),
    Row("POST", "/mantik/tokens/create", LOGIN, body={"username": "{unique}", "password": "wrong"}),
    Row("POST", "/mantik/tokens/refresh", LOGIN, body={"username": "owner", "refresh_token": "wrong"}),
    Row("GET", "/users/me", PERSON),
    Row("GET", "/users/me/tokens", PERSON),
    Row("POST", "/users/me/tokens", PERSON, 201, {"name": "script"}),
    Row("DELETE", "/users/me/tokens/{tokenId}", SELF, 204),
    Row("GET", "/users", PERSON, query="?name=owner"),
    Row("POST", "/users", ADMIN, 201, {"name": "fresh-{unique}", "password": "long enough for all"}),
    Row("GET", "/users/{memberId}", ADMIN),
    Row("POST", "/users/{memberId}/disable", ADMIN, 204),
    Row("POST", "/users/{memberId}/enable", ADMIN, 204),
    Row("GET", "/projects", PERSON),
    Row("POST", "/projects", PERSON, 201, {"name": "new-{unique}"}),
    Row("GET", P, "guest"),
    Row("PUT", P, "maintainer", body={**PROJECT, "name": "renamed-{unique}"}),
    Row("DELETE", P, "owner", 204),
    Row("GET", f"{P}/members", "guest"),
    Row("PUT", f"{P}/members/{{strangerId}}", "maintainer", body={"role": "reporter"}),
    Row("DELETE", f"{P}/members/{{memberId}}", "maintainer", 204),
    Row("GET", f"{P}/budget", "guest"),
    Row("PUT", f"{P}/budget", "maintainer", body={"budgetGuard": "warn", "perMonth": {"coreHours": 1000}}),
    Row("GET", f"{P}/experiments", "guest"),
    Row("POST", f"{P}/experiments", "researcher", 201, {"name": "another"}),
    Row("GET", f"{P}/experiments/{{experimentRepositoryId}}", "guest"),
    Row(
        "GET",
        f"{P}/experiments/{{experimentRepositoryId}}/unique-mlflow-run-name",
        "guest",
        query="?runName=a",
    ),
    Row("PUT", f"{P}/experiments/{{experimentRepositoryId}}", "researcher", body={"name": "experiment"}),
    Row("DELETE", f"{P}/experiments/{{experimentRepositoryId}}", "maintainer", 204),
    Row("GET", f"{P}/code", "guest"),
    Row("POST", f"{P}/code", "researcher", 201, CODE),
    Row("GET", f"{P}/code/{{codeRepositoryId}}", "guest"),
    Row("PUT", f"{P}/code/{{codeRepositoryId}}", "researcher", body=CODE),
    Row("DELETE", f"{P}/code/{{codeRepositoryId}}", "maintainer", 204),
    Row("GET", "/sites", PERSON),
    Row("POST", "/sites", ADMIN, 201, {**SITE, "name": "site-new-{unique}"}),
    Row("POST", "/sites/scan-host-keys", ADMIN, 422, query="?host=-not-a-host"),
    Row("GET", "/sites/{siteId}", PERSON),
    Row("PUT", "/sites/{siteId}", ADMIN, body={**SITE, "name": "site-new-{unique}"}),
    Row("DELETE", "/sites/{siteId}", ADMIN, 409),
    Row("GET", C, SELF),
    Row("POST", C, SELF, 201, {**CONNECTION, "connectionName": "git-{unique}"}),
    Row("GET", f"{C}/{{connectionId}}", SELF),
    Row("PUT", f"{C}/{{gitConnectionId}}", SELF, body={"connectionName": "git-{unique}-new"}),
    Row("POST", f"{C}/{{gitConnectionId}}/check", SELF, 422),
    Row("PUT", f"{C}/{{gitConnectionId}}/credential", SELF, body={"token": "new"}),
    Row("DELETE", f"{C}/{{connectionId}}", SELF, 204),
    Row("GET", N, SELF),
    Row("POST", N, SELF, 201, {**SUBSCRIPTION, "name": "hook-{unique}"}),
    Row("GET", f"{N}/{{subscriptionId}}", SELF),
    Row("PUT", f"{N}/{{subscriptionId}}", SELF, body={**SUBSCRIPTION, "name": "hook-{unique}-new"}),
    Row("DELETE", f"{N}/{{subscriptionId}}", SELF, 204),
    Row("POST", f"{N}/{{subscriptionId}}/test", SELF),
    Row("GET", f"{N}/{{subscriptionId}}/deliveries", SELF),
    Row("GET", R, "guest"),
    Row("POST", R, "researcher", 422, {"name": "r", "experimentRepositoryId": "{experimentRepositoryId}"}),
    Row("GET", f"{R}/{{runId}}", "guest", run=True),
    Row("POST", f"{R}/{{runId}}/cancel", "maintainer"),
    Row("PUT", f"{R}/{{runId}}/status", "maintainer", 204, "RUNNING", run=True),
    Row("PUT", f"{R}/{{runId}}/infrastructure", "maintainer", 204, {"hostname": "node1"}, run=True),
    Row("PUT", f"{R}/{{runId}}/notebook-source", "maintainer", 204, {"location": "a.ipynb"}, run=True),
    Row("DELETE", f"{R}/{{runId}}", "maintainer", 204, query="?cancel=true"),
    Row("GET", f"{R}/{{runId}}/events", "guest", run=True),
    Row("GET", f"{R}/{{runId}}/logs", "guest", run=True),
    Row("GET", S, "guest"),
    # The one connection of these tests is its owner's: 422 is how far the others may come.
    Row("POST", S, "researcher", 422, {**SCHEDULE, "cronExpression": "0 0 30 2 *"}),
    Row("GET", f"{S}/preview", "guest", query="?cronExpression=@daily"),
    Row("GET", f"{S}/{{scheduleId}}", "guest"),
    Row("PUT", f"{S}/{{scheduleId}}", "maintainer", 422, {**SCHEDULE, "cronExpression": "0 0 30 2 *"}),
    Row("DELETE", f"{S}/{{scheduleId}}", "maintainer", 204),
    Row("GET", f"{S}/{{scheduleId}}/preview", "guest"),
    Row("GET", f"{S}/{{scheduleId}}/firings", "guest"),
    Row("POST", f"{S}/{{scheduleId}}/pause", "maintainer"),
    Row("POST", f"{S}/{{scheduleId}}/resume", HOLDER),
    Row("POST", f"{S}/{{scheduleId}}/fire-now", "researcher", 422, {"connectionId": "{siteId}"}),
    Row("GET", M, "guest"),
    # The run of these tests goes on.
    Row("POST", M, "researcher", 409, {"name": "net", "runId": "{runId}"}),
    Row("GET", f"{M}/{{modelId}}", "guest"),
    Row("PUT", f"{M}/{{modelId}}", "researcher", body={"name": "other"}),
    Row("DELETE", f"{M}/{{modelId}}", "researcher", 204),
    # It lies elsewhere: 409 is how far all may come.
    Row("GET", f"{M}/{{modelId}}/download", "reporter", 409),
    Row("GET", f"{M}/{{modelId}}/docker", "reporter", 409),
    Row("POST", f"{M}/{{modelId}}/docker/build", "researcher", 409),
    Row("GET", f"{P}/retention", "guest"),
    Row("PUT", f"{P}/retention", "maintainer", body={"logDays": 30}),
    Row("POST", f"{P}/retention/preview", "reporter", body={"runDays": 30}),
    Row("GET", "/model-images/{link}/{fileName}", LINK, 404),
)


def expected(row: Row, walker: str) -> set[int]:
    """The statuses with which a walker may be answered."""
    if row.least in (PUBLIC, TOLD, LINK):
        return {row.status}
    if walker == "anonymous" or row.least == LOGIN:
        return {401}
    if walker == "run":
        return {row.status} if row.run else {403}
    if row.least == PERSON:
        return {row.status}
    if row.least == ADMIN:
        return {row.status} if walker == "admin" else {403}
    if row.least == SELF:
        return {row.status} if walker == "owner" else {404}
    if walker not in ROLES:
        return {404}
    if row.least == HOLDER:
        return {row.status} if walker == "owner" else {403}
    return {row.status} if ROLES.index(walker) <= ROLES.index(row.least) else {403}


async def _place(world: World, row: Row, walker: str) -> Place:
    """A fresh one per call: an earlier walker may have deleted the last."""
    place = await world.place()
    if "{runId}" in row.path or walker == "run" or "/schedules" in row.path or "/models" in row.path:
        place = await world.run(place)
    if "/schedules" in row.path:
        place = await world.schedule(place)
    if "/models" in row.path:
        place = await world.model(place)
    if "{subscriptionId}" in row.path:
        place = await world.subscription(place)
    extra = {
        "strangerId": str((await world.person("stranger")).id),
        "memberId": str((await world.person("another")).id),
        "unique": place.ids["projectId"][:8],
        "link": link_of(world.context.vault, uuid.UUID(place.ids["projectId"])),
        "fileName": "net.tar.gz",
        "secret": secret_of(world.context.vault, Told(uuid.UUID(place.ids["projectId"]), 1)),
    }
    return Place({**place.ids, **extra}, place.run_headers)


async def _git_connection(api: httpx.AsyncClient, world: World, place: Place) -> Place:
    owner = await world.person("owner")
    body = _filled({**CONNECTION, "connectionName": "git-{unique}-own"}, place)
    made = await api.post(f"/users/{owner.id}/settings/connections", json=body, headers=owner.headers)
    return Place({**place.ids, "gitConnectionId": made.json()["connectionId"]}, place.run_headers)


def _filled(value: Any, place: Place) -> Any:
    if isinstance(value, dict):
        return {k: _filled(v, place) for k, v in value.items()}
    return value.format(**place.ids) if isinstance(value, str) and "{" in value else value


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_every_role_at_every_endpoint(row: Row, api: httpx.AsyncClient, world: World) -> None:
    for walker in WALKERS:
        place = await _place(world, row, walker)
        if "gitConnectionId" in row.path:
            place = await _git_connection(api, world, place)
        headers = await _headers(world, walker, place)
        path = row.path.format(**place.ids) + row.query
        answer = await api.request(row.method, path, json=_filled(row.body, place), headers=headers)
        assert answer.status_code in expected(row, walker), f"{walker}: {answer.status_code} {answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"]
            assert "\n" not in answer.json()["detail"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("row", [row for row in TABLE if row.run], ids=lambda row: row.name)
async def test_a_run_token_reaches_its_own_run_only(row: Row, api: httpx.AsyncClient, world: World) -> None:
    own = await world.run(await world.place())
    sibling = await world.run(Place(own.ids, {}))
    for place, status in ((own, row.status), (sibling, 403)):
        path = row.path.format(**place.ids)
        answer = await api.request(row.method, path, json=row.body, headers=own.run_headers)
        assert answer.status_code == status, answer.text


async def _headers(world: World, walker: str, place: Place) -> dict[str, str]:
    if walker == "anonymous":
        return {}
    if walker == "run":
        return place.run_headers
    return (await world.person(walker, admin=walker == "admin")).headers


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_route_is_missing_in_the_table(app: FastAPI) -> None:
    routes = {
        f"{method.upper()} {path.removeprefix(API)}" for path, item in app.openapi()["paths"].items() for method in item
    }
    listed = {row.name for row in TABLE}
    same = {name.replace("gitConnectionId", "connectionId") for name in listed}
    same = {name.replace("strangerId", "userId").replace("memberId", "userId") for name in same}
    assert same == routes


def test_no_route_of_the_api_is_hidden() -> None:
    assert all(route.include_in_schema for module in ROUTERS for route in module.router.routes)  # type: ignore[attr-defined]
