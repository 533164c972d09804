"""A project with runs that logged models, over a real MLflow server."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from gateway import clock
from gateway.db.lease import later
from gateway.db.session import Database
from gateway.models import registration, service
from gateway.models.rows import TrainedModel
from gateway.models.upkeep import Upkeep
from gateway.runs.rows import Attempt, Job, Manifest, Run
from gateway.schemas.models import ModelView, RegisterModel
from gateway.sites.rows import Site
from gateway.tracking.client import ARTIFACTS, TrackingClient
from gateway.tracking.model_versions import Version, versions_of
from gateway.users.caller import Caller
from tests.gateway.models.faults import FaultyTransport
from tests.gateway.tracking.house import Home, move_in

FILES = {
    "MLmodel": b"flavors:\n  python_function:\n    loader_module: nothing\n    python_version: 3.11.7\n",
    "data/weights.bin": bytes(range(256)) * 300,
    "requirements.txt": b"mlflow\n",
}
RESOURCES = {"Queue": "batch", "Nodes": 2}
ALLOTTED = "billing=16,cpu=16,gres/gpu=8,mem=64G,node=2"
STARTED = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class Shop:
    """What a test of models has at hand."""

    def __init__(self, db: Database, client: TrackingClient, faults: FaultyTransport, home: Home) -> None:
        self.db, self.client, self.faults, self.home = db, client, faults, home
        self.upkeep = Upkeep(db, client)

    @property
    def caller(self) -> Caller:
        return Caller(self.home.user.id, self.home.user.name, is_admin=False)

    @property
    def project(self) -> uuid.UUID:
        return self.home.project.id

    async def run(self, state: str = "FINISHED", *, job: bool = True, **values: Any) -> Run:
        """A run with its run in MLflow, and with the job that it had."""
        run_id = uuid.uuid4()
        experiment = self.home.experiment_id
        there = await self.client.create_run(experiment, run_id, "train", "a", {}, clock.now())
        ended = STARTED + timedelta(hours=1) if state == "FINISHED" else None
        async with self.db.transaction() as session:
            site = Site(name=f"lab-{run_id}", kind="slurm")
            session.add(site)
            await session.flush()
            run = Run(
                **{
                    "id": run_id,
                    "project_id": self.project,
                    "name": "train",
                    "created_by": self.home.user.id,
                    "run_as": self.home.user.id,
                    "experiment_repository_id": self.home.experiment.id,
                    "mlproject_path": "MLproject",
                    "lineage_id": run_id,
                    "state": state,
                    "commit": "c0ffee",
                    "branch": "main",
                    "site_id": site.id,
                    "compute_budget_account": "asked",
                    "parameters": {"rate": 0.1},
                    "mlflow_run_id": there,
                    "started_at": STARTED,
                    "ended_at": ended,
                    **values,
                }
            )
            session.add(run)
            await session.flush()
            if job:
                await self._job(session, run)
        return run

    async def _job(self, session: Any, run: Run) -> None:
        attempt = Attempt(run_id=run.id, n=1, tag=f"mantik-{run.id}-1")
        session.add(attempt)
        await session.flush()
        usage = {"elapsed": "3600", "cputime": "57600", "alloctres": ALLOTTED}
        known = {"account": "budget-a", "nodes": "n[1-2]", "usage": usage}
        session.add(Job(attempt_id=attempt.id, run_id=run.id, site_job_id="4711", **known))
        session.add(
            Manifest(
                run_id=run.id,
                created_at=STARTED,
                commit="c0ffee",
                config={"Resources": RESOURCES},
                command="true",
                script=b"",
                script_sha256="",
                code_sha256="",
                code_size=0,
                submit_command=[],
                login_commands_before=[],
                login_commands_after=[],
                project_path="",
                warnings=[],
            )
        )

    async def log(self, run: Run, name: str = "model") -> str:
        """A logged model as MLflow 3 keeps it; its id."""
        body = {"experiment_id": self.home.experiment_id, "name": name, "source_run_id": run.mlflow_run_id}
        info = (await self.client.call("POST", "logged-models", body))["model"]["info"]
        await self._put(info["artifact_uri"])
        ready = {"model_id": info["model_id"], "status": "LOGGED_MODEL_READY"}
        await self.client.call("PATCH", f"logged-models/{info['model_id']}", ready)
        return str(info["model_id"])

    async def log_folder(self, run: Run, path: str = "model") -> None:
        """A model as MLflow 2 keeps it: a folder of the run's artifacts."""
        await self._put(f"mlflow-artifacts:/{self.home.experiment_id}/{run.mlflow_run_id}/artifacts/{path}")

    async def _put(self, uri: str) -> None:
        for path, data in FILES.items():
            await self.client.send("PUT", f"{ARTIFACTS}{uri.removeprefix('mlflow-artifacts:/')}/{path}", content=data)

    async def trained(self) -> Run:
        """A finished run with one logged model."""
        run = await self.run()
        await self.log(run)
        return run

    async def register(self, name: str, run: Run | None = None, **changes: Any) -> ModelView:
        run = run or await self.trained()
        body = RegisterModel(**({"name": name, "run_id": run.id} | changes))
        return await registration.register(self.db, self.client, self.caller, self.project, body)

    async def unregister(self, model: ModelView) -> None:
        await service.unregister(self.db, self.client, self.caller, self.project, model.model_id)

    async def models(self) -> list[ModelView]:
        return (await service.listing(self.db, self.caller, self.project, None, 100)).items

    async def row(self, model_id: uuid.UUID) -> TrainedModel | None:
        async with self.db.reading() as session:
            return await session.get(TrainedModel, model_id)

    async def versions(self, model_id: uuid.UUID) -> list[Version]:
        """In MLflow."""
        return await versions_of(self.client, model_id)

    async def registered_names(self) -> set[str]:
        """Of this project, in MLflow."""
        query = [("filter", f"name LIKE '{self.project}.%'"), ("max_results", "1000")]
        answer = await self.client.call("GET", "registered-models/search", query=query)
        return {found["name"].partition(".")[2] for found in answer.get("registered_models", ())}

    async def age_due(self) -> None:
        """What waits is due."""
        async with self.db.transaction() as session:
            due = update(TrainedModel).where(TrainedModel.due_at.is_not(None))
            await session.execute(due.values(due_at=later(session, -3600)))

    async def age(self) -> None:
        """An hour goes by for the database's clock, by which waits and leases end."""
        await self.age_due()
        async with self.db.transaction() as session:
            late = update(TrainedModel).where(TrainedModel.uncertain_until.is_not(None))
            await session.execute(late.values(uncertain_until=later(session, -3600)))

    async def settle(self) -> None:
        """Rounds of the engine until nothing is due any more."""
        for _ in range(10):
            await self.age()
            await self.upkeep.turn()
            async with self.db.reading() as session:
                if await session.scalar(select(TrainedModel.id).where(TrainedModel.due_at.is_not(None))) is None:
                    return
        raise AssertionError(json.dumps([m.model_dump(mode="json") for m in await self.models()]))


async def a_shop(db: Database, client: TrackingClient, faults: FaultyTransport, name: str = "a") -> Shop:
    return Shop(db, client, faults, await move_in(db, client, name))
