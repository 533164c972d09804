"""The tables of scopes, row by row: each is one real call with a run token, and MLflow is looked at behind its back.

What a token reaches works and is seen in MLflow; what it does not reach is refused and MLflow stays as it was."""

import secrets
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from gateway import clock
from gateway.db.session import Database
from gateway.logs import service as logs
from gateway.logs.blobs import DirectoryBlobs
from gateway.migrations import upgrade
from gateway.repositories.rows import ExperimentRepository
from gateway.runs.moves import record
from gateway.runs.rows import Attempt, Run
from gateway.runs.states import State
from gateway.tracking.alias import alias
from gateway.tracking.client import ARTIFACTS, TrackingClient
from gateway.tracking.names import experiment_name
from gateway.tracking.routes import ROUTES, Route
from gateway.tracking.scopes import GATEWAY_SCOPES, Reach, Scope
from gateway.tracking.server import MlflowServer
from tests.gateway.tracking.house import Home, application, door, move_in, tracked_run
from tests.gateway.tracking.scope_calls import (
    ANY_VARIABLES,
    ANYTHING,
    CALLS,
    OWN_CALLS,
    Call,
    OwnCall,
    Target,
    the_files,
    the_model,
    the_run,
)

pytestmark = [pytest.mark.mlflow, pytest.mark.asyncio(loop_scope="module")]
REACHING = [route for route in ROUTES if route.run_token is not Reach.NOTHING]
BEYOND = [route for route in ROUTES if route.run_token is Reach.NOTHING]
HOUR = timedelta(hours=1)


def name(row: Route | Scope) -> str:
    return f"{row.method} {row.path if isinstance(row, Route) else row.endpoint}"


# ------------------------------------------------------------------ what there is


@dataclass
class Job:
    """A run of the gateway with its token."""

    run: Run
    token: str


@dataclass
class Stage:
    mlflow: TrackingClient
    app: FastAPI
    a: Home
    b: Home
    own: Job
    sibling: Job
    foreign: Job
    ended: Job
    revoked: Job
    targets: dict[str, Target]

    async def ask(self, token: str, route: Route, call: Call, target: Target, mark: str) -> httpx.Response:
        """The row's call, as an MLflow client sends it."""
        path = "/" + route.prefixes[0] + route.path
        for key, value in target.filled(call.variables, mark).items():
            path = path.replace(f"{{{key}}}", value)
        fields = target.filled(call.fields, mark)
        sent: dict[str, Any] = {"params": fields} if route.method == "GET" or call.content is not None else {}
        sent |= {"content": call.content} if call.content is not None else {}
        async with door(self.app, token) as http:
            return await http.request(route.method, path, **(sent or {"json": fields}))

    async def ask_own(self, token: str, scope: Scope, home: Home, run_id: str, mark: str = "") -> httpx.Response:
        body = OWN_CALLS[name(scope)].body
        sent = {} if scope.method == "GET" else {"json": self.targets["own"].filled(body, mark)}
        return await self.see(token, home, run_id, scope.endpoint, scope.method, **sent)

    async def see(
        self, token: str, home: Home, run_id: str, below: str, method: str = "GET", **sent: Any
    ) -> httpx.Response:
        path = f"http://gateway/api/v1/projects/{home.project.id}/runs/{run_id}/{below}".rstrip("/")
        async with door(self.app, token) as http:
            return await http.request(method, path, **sent)

    async def holds(self, call: Call, target: Target, mark: str) -> bool:
        """Whether MLflow has the trace of a call."""
        assert call.look is not None
        return str(target.filled(call.trace, mark)) in repr(await call.look(self.mlflow, self.known(target)))

    def known(self, target: Target) -> Target:
        """As MLflow knows it, which has never heard of the alias."""
        return self.targets["own"] if target is self.targets["own by its alias"] else target

    async def everything(self, target: Target) -> Any:
        return [await look(self.mlflow, target) for look in (the_run, the_model, the_files)]


async def furnished(mlflow: TrackingClient, target: Target) -> Target:
    """With the secret in all that MLflow shows of the run."""
    await mlflow.set_tags(target.run, {"secret": target.secret})
    await mlflow.log_params(target.run, {"secret": target.secret})
    metric = {"key": "loss", "value": float(target.secret), "timestamp": 1, "step": 0}
    await mlflow.call("POST", "runs/log-batch", {"run_id": target.run, "metrics": [metric]})
    await mlflow.log_artifact(target.run, f"{target.secret}.txt", target.secret.encode())
    new = {"experiment_id": target.experiment, "name": "net", "source_run_id": target.run}
    tags = [{"key": "secret", "value": target.secret}]
    made = (await mlflow.call("POST", "logged-models", {**new, "tags": tags}))["model"]["info"]["model_id"]
    place = f"{ARTIFACTS}{target.experiment}/models/{made}/artifacts/{target.secret}.txt"
    await mlflow.send("PUT", place, content=target.secret.encode())
    return replace(target, model=made)


async def told_experiment(mlflow: TrackingClient, experiment_id: str, text: str) -> None:
    body = {"experiment_id": experiment_id, "key": "secret", "value": text}
    await mlflow.call("POST", "experiments/set-experiment-tag", body)


async def new_run(mlflow: TrackingClient, experiment_id: str, *tags: dict[str, str]) -> str:
    body = {"experiment_id": experiment_id, "tags": list(tags)}
    return str((await mlflow.call("POST", "runs/create", body))["run"]["info"]["run_id"])


async def a_job(db: Database, mlflow: TrackingClient, blobs: DirectoryBlobs, home: Home) -> Job:
    run, token = await tracked_run(db, mlflow, home)
    line = f"a line of {run.id}\n".encode()
    key = logs.new_key(run.id, logs.Position(0, 0))
    await blobs.put(key, line)
    async with db.transaction() as session:
        record(session, run.id, "state", f"It runs: {run.id}.", to=State.RUNNING)
        logs.append(session, run.id, logs.Position(0, 0), len(line), key)
    return Job(run, token)


async def another_experiment(db: Database, mlflow: TrackingClient, home: Home) -> str:
    made = await mlflow.ensure_experiment(experiment_name(home.project.id, "other"))
    async with db.transaction() as session:
        session.add(ExperimentRepository(project_id=home.project.id, name="other", mlflow_experiment_id=made.id))
    return made.id


async def all_targets(
    db: Database, mlflow: TrackingClient, homes: tuple[Home, Home], jobs: list[Job]
) -> dict[str, Target]:
    a, b = homes
    own, sibling, foreign, ended, revoked = (str(job.run.mlflow_run_id) for job in jobs)
    child = await new_run(mlflow, a.experiment_id, {"key": "mlflow.parentRunId", "value": own})
    other = await another_experiment(db, mlflow, a)
    here = (a.experiment_id, experiment_name(a.project.id, "main"))
    there = (other, experiment_name(a.project.id, "other"))
    theirs = (b.experiment_id, experiment_name(b.project.id, "main"))
    words = {a.experiment_id: "0.70710678", other: "0.17320508", b.experiment_id: "0.22360679"}
    for experiment_id, text in words.items():
        await told_experiment(mlflow, experiment_id, text)
    bare = {
        "own": Target(own, *here, "0.31830989", words[here[0]]),
        "child": Target(child, *here, "0.27182818", words[here[0]]),
        "sibling": Target(sibling, *here, "0.57721566", words[here[0]]),
        "elsewhere": Target(await new_run(mlflow, other), *there, "0.69314718", words[other]),
        "foreign": Target(foreign, *theirs, "0.91596559", words[theirs[0]]),
        "ended": Target(ended, *here, "0.42466452", words[here[0]]),
        "revoked": Target(revoked, *here, "0.56714329", words[here[0]]),
    }
    made = {key: await furnished(mlflow, target) for key, target in bare.items()}
    return {**made, "own by its alias": replace(made["own"], run=alias(jobs[0].run.id))}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    mlflow_server: MlflowServer, template_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """One for all rows; every call leaves a mark of its own."""
    directory = tmp_path_factory.mktemp("scopes")
    if not (template := template_directory / "gateway.db").exists():
        await upgrade(f"sqlite+aiosqlite:///{template}")
    shutil.copy(template, directory / "gateway.db")
    db = Database(f"sqlite+aiosqlite:///{directory / 'gateway.db'}")
    mlflow = TrackingClient(mlflow_server.uri, seconds=30.0, socket=mlflow_server.socket)
    a, b = await move_in(db, mlflow, "a"), await move_in(db, mlflow, "b")
    app, blobs = application(db, mlflow), DirectoryBlobs(directory)
    app.state.context.blobs = blobs
    jobs = [await a_job(db, mlflow, blobs, home) for home in (a, a, b, a, a)]
    targets = await all_targets(db, mlflow, (a, b), jobs)
    async with db.transaction() as session:
        ended = await session.get_one(Run, jobs[3].run.id)
        ended.state, ended.ended_at = State.FINISHED, clock.now()
        session.add(Attempt(run_id=jobs[4].run.id, n=1, tag="t", revoked_at=clock.now()))
    jobs[3].run = ended
    yield Stage(mlflow, app, a, b, *jobs, targets)
    await mlflow.close()
    await db.close()


def new_mark() -> str:
    return str(10**11 + secrets.randbelow(9 * 10**11))


def after_the_end(job: Job, time: timedelta) -> None:
    assert job.run.ended_at is not None
    then = job.run.ended_at + time
    clock.use(lambda: then)


def reaching(route: Route) -> Call:
    assert name(route) in CALLS, f"{name(route)} is new in routes.py: give it a call in scope_calls.py"
    return CALLS[name(route)]


# ------------------------------------------------------------------ MLflow's routes


async def test_every_row_has_its_call_and_every_call_its_row() -> None:
    assert set(CALLS) == {name(route) for route in REACHING}
    assert set(OWN_CALLS) == {name(scope) for scope in GATEWAY_SCOPES}
    assert len(BEYOND) + len(CALLS) == len(ROUTES)


async def succeeds(stage: Stage, token: str, route: Route, call: Call, target: Target) -> None:
    """The answer shows it; or MLflow has it that did not, or has it no more."""
    mark = new_mark()
    if call.there_before is not None:
        await call.there_before(stage.mlflow, stage.known(target), mark)
    before = call.look is not None and await stage.holds(call, target, mark)
    answer = await stage.ask(token, route, call, target, mark)
    assert answer.status_code == 200, (target, answer.text)
    assert target.filled(call.shows, mark) in answer.text
    for other in ("sibling", "elsewhere", "foreign"):
        assert target is stage.targets["ended"] or stage.targets[other].secret not in answer.text
    if call.look is not None:
        assert (before, await stage.holds(call, target, mark)) == (call.there_before is not None, not before)


@pytest.mark.parametrize("route", REACHING, ids=name)
async def test_a_run_token_reaches_its_own(stage: Stage, route: Route) -> None:
    call = reaching(route)
    for key in call.reached:
        if key != "own by its alias" or call.names_the_run:
            await succeeds(stage, stage.own.token, route, call, stage.targets[key])


@pytest.mark.parametrize("route", [route for route in REACHING if CALLS.get(name(route), Call()).refused], ids=name)
async def test_a_run_token_reaches_nothing_else(stage: Stage, route: Route) -> None:
    call = reaching(route)
    for key in call.refused:
        target, mark = stage.targets[key], new_mark()
        if call.there_before is not None:
            await call.there_before(stage.mlflow, target, mark)
        before = call.look is not None and await stage.holds(call, target, mark)
        answer = await stage.ask(stage.own.token, route, call, target, mark)
        assert answer.status_code in (403, 404), (key, answer.text)
        assert answer.json()["error_code"] in ("PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST")
        assert target.secret not in answer.text
        assert call.look is None or await stage.holds(call, target, mark) == before


@pytest.mark.parametrize("route", BEYOND, ids=name)
async def test_what_no_run_token_reaches(stage: Stage, route: Route) -> None:
    """Of its own run neither."""
    own = stage.targets["own"]
    before = await stage.everything(own)
    answer = await stage.ask(stage.own.token, route, Call(ANYTHING, ANY_VARIABLES), own, new_mark())
    assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert "A run token may not do this." in answer.json()["message"]
    assert await stage.everything(own) == before


@pytest.mark.parametrize("route", REACHING, ids=name)
async def test_a_token_ends_an_hour_after_its_run(stage: Stage, route: Route) -> None:
    call, target, mark = reaching(route), stage.targets["ended"], new_mark()
    after_the_end(stage.ended, HOUR - timedelta(seconds=1))
    await succeeds(stage, stage.ended.token, route, call, target)
    after_the_end(stage.ended, HOUR)
    answer = await stage.ask(stage.ended.token, route, call, target, mark)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert call.look is None or "<mark>" not in call.trace or not await stage.holds(call, target, mark)


@pytest.mark.parametrize("route", ROUTES, ids=name)
async def test_a_token_of_a_revoked_attempt_reaches_nothing(stage: Stage, route: Route) -> None:
    call, target, mark = CALLS.get(name(route), Call(ANYTHING, ANY_VARIABLES)), stage.targets["revoked"], new_mark()
    answer = await stage.ask(stage.revoked.token, route, call, target, mark)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert call.look is None or not await stage.holds(call, target, mark)


# ------------------------------------------------------------------ the gateway's own endpoints


def ids(job: Job) -> list[str]:
    """The published client makes a UUID of MLflow's id."""
    mlflow_run_id = str(job.run.mlflow_run_id)
    return [str(job.run.id), alias(job.run.id), mlflow_run_id, str(uuid.UUID(mlflow_run_id))]


@pytest.mark.parametrize("scope", GATEWAY_SCOPES, ids=name)
async def test_a_run_token_reaches_its_own_run(stage: Stage, scope: Scope) -> None:
    call: OwnCall = OWN_CALLS[name(scope)]
    for run_id in ids(stage.own):
        mark = new_mark()
        answer = await stage.ask_own(stage.own.token, scope, stage.a, run_id, mark)
        assert answer.status_code == (200 if scope.method == "GET" else 204), answer.text
        shown = await stage.see(stage.own.token, stage.a, run_id, call.below)
        wanted = call.shows.replace("<id>", str(stage.own.run.id)).replace("<mark>", mark)
        assert wanted in shown.text


@pytest.mark.parametrize("scope", GATEWAY_SCOPES, ids=name)
async def test_a_run_token_reaches_no_other_run(stage: Stage, scope: Scope) -> None:
    """A child is a run of MLflow only; the gateway has none of that id."""
    strange = [(stage.a, run_id) for run_id in (*ids(stage.sibling), stage.targets["child"].run)]
    strange += [(home, run_id) for home in (stage.a, stage.b) for run_id in ids(stage.foreign)]
    for home, run_id in strange:
        assert (await stage.ask_own(stage.own.token, scope, home, run_id)).status_code == 403
    for run_id in ids(stage.own):
        assert (await stage.ask_own(stage.own.token, scope, stage.b, run_id)).status_code == 404


@pytest.mark.parametrize("scope", GATEWAY_SCOPES, ids=name)
async def test_when_a_token_has_ended(stage: Stage, scope: Scope) -> None:
    for run_id in ids(stage.ended):
        after_the_end(stage.ended, HOUR - timedelta(seconds=1))
        assert (await stage.ask_own(stage.ended.token, scope, stage.a, run_id)).is_success
        after_the_end(stage.ended, HOUR)
        assert (await stage.ask_own(stage.ended.token, scope, stage.a, run_id)).status_code == 401
    for run_id in ids(stage.revoked):
        assert (await stage.ask_own(stage.revoked.token, scope, stage.a, run_id)).status_code == 401
