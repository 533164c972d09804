"""A gateway with two users in two projects, over a real MLflow server."""

import asyncio
import contextlib
import json
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import httpx
import uvicorn
from fastapi import FastAPI

from gateway.api.app import create_app
from gateway.db.session import Database
from gateway.projects.rows import Member, Project
from gateway.repositories.rows import ExperimentRepository
from gateway.runs.rows import Run
from gateway.settings import Settings
from gateway.tracking import tokens
from gateway.tracking.client import TrackingClient
from gateway.tracking.names import experiment_name
from gateway.tracking.own import ensure_own_run
from gateway.users.rows import User
from gateway.users.tokens import AccessTokens

PROGRAMS = Path(__file__).parent / "programs"
ACCESS = AccessTokens([b"k" * 32])


@dataclass
class Home:
    """One user and their project."""

    user: User
    project: Project
    experiment: ExperimentRepository
    token: str

    @property
    def experiment_id(self) -> str:
        return self.experiment.mlflow_experiment_id


async def a_home(db: Database, name: str = "a", mlflow_id: str | None = None, **project: Any) -> Home:
    """A user, who owns a project with one experiment `main`."""
    unique = f"{name}-{uuid.uuid4().hex[:8]}"
    async with db.transaction() as session:
        user = User(name=unique)
        session.add(user)
        await session.flush()
        home = Project(name=unique, created_by=user.id, **project)
        session.add(home)
        await session.flush()
        session.add(Member(project_id=home.id, user_id=user.id, role="owner"))
        experiment = ExperimentRepository(project_id=home.id, name="main", mlflow_experiment_id=mlflow_id)
        session.add(experiment)
    return Home(user, home, experiment, ACCESS.issue(user.id)[0])


async def move_in(db: Database, client: TrackingClient, name: str, **project: Any) -> Home:
    """With the experiment in MLflow."""
    home = await a_home(db, name, **project)
    made = await client.ensure_experiment(experiment_name(home.project.id, "main"))
    async with db.transaction() as session:
        home.experiment = await session.get_one(ExperimentRepository, home.experiment.id)
        home.experiment.mlflow_experiment_id = made.id
    return home


async def join(db: Database, home: Home, role: str) -> str:
    """A token of a new member."""
    async with db.transaction() as session:
        user = User(name=uuid.uuid4().hex)
        session.add(user)
        await session.flush()
        session.add(Member(project_id=home.project.id, user_id=user.id, role=role))
    return ACCESS.issue(user.id)[0]


async def add_run(db: Database, home: Home, state: str = "RUNNING", **values: Any) -> Run:
    async with db.transaction() as session:
        run = Run(
            project_id=home.project.id,
            name="a run",
            created_by=home.user.id,
            run_as=home.user.id,
            experiment_repository_id=home.experiment.id,
            mlproject_path="MLproject",
            lineage_id=uuid.uuid4(),
            state=state,
            **values,
        )
        session.add(run)
    return run


async def run_token(db: Database, run: Run) -> str:
    token, row = tokens.new(run.id, 1)
    async with db.transaction() as session:
        session.add(row)
    return token


async def tracked_run(db: Database, client: TrackingClient, home: Home) -> tuple[Run, str]:
    """A running run of the gateway with its MLflow run, and its token."""
    run = await add_run(db, home)
    await ensure_own_run(db, client, run.id, {})
    async with db.reading() as session:
        run = await session.get_one(Run, run.id)
    return run, await run_token(db, run)


def application(db: Database, client: TrackingClient, **limits: int) -> FastAPI:
    """The gateway's own, with the doors that tracking goes through."""
    settings = Settings(data_dir=Path("unused"), requests_per_minute=100_000, **limits)
    return create_app(SimpleNamespace(settings=settings, db=db, access=ACCESS, tracking=client))


def door(app: FastAPI, token: str | None) -> httpx.AsyncClient:
    """Straight into the application."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway/tracking", headers=headers)


async def raw(app: FastAPI, token: str, method: str, path: str) -> httpx.Response:
    """A request whose path no client has tidied up; decoded once, as uvicorn does."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("gateway", 80),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"bytes", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return httpx.Response(sent[0]["status"], content=b"".join(m.get("body", b"") for m in sent[1:]))


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application on a real port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/tracking/"
        server.should_exit = True
        await task


async def run_program(name: str, *arguments: str, **variables: str) -> Any:
    """What a program with the real MLflow client prints, as JSON."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAMS / name),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-3000:]
    return json.loads(out.decode().splitlines()[-1])
