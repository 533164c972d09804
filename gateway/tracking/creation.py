"""`runs/create` by a run: MLflow's run of the gateway's run first, then its children."""

from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from gateway import clock
from gateway.db.session import Database
from gateway.tracking.client import TrackingClient
from gateway.tracking.message import PARENT_TAG
from gateway.tracking.own import ensure_own_run
from gateway.tracking.rows import RunToken
from gateway.tracking.standing import OwnRun
from gateway.users.caller import Caller

LONGEST = 40
"""Characters kept of a start time."""


async def create(database: Database, client: TrackingClient, caller: Caller, own: OwnRun, body: dict[str, Any]) -> Any:
    """MLflow's answer, always in the run's own experiment: a client that was told of none says 0.

    Without a parent in the tags it is the run's own one, made now if it is missing, for the first request of a job
    that was not given its id, and for the repeats of that request; else a child."""
    body = {**body, "experiment_id": own.experiment_id}
    if any(tag.get("key") == PARENT_TAG for tag in body.get("tags") or ()):
        return await client.call("POST", "runs/create", body)
    mlflow_run_id = await ensure_own_run(database, client, own.run_id, {})
    if await _is_first(database, caller.token_id, body):
        return await _begin(client, mlflow_run_id, body)
    body["tags"] = [*(body.get("tags") or ()), {"key": PARENT_TAG, "value": mlflow_run_id}]
    return await client.call("POST", "runs/create", body)


async def _is_first(database: Database, token_id: UUID | None, body: dict[str, Any]) -> bool:
    """Clients repeat a request whose answer was lost; its start time, in milliseconds, tells it from another one."""
    start = str(body.get("start_time") or int(clock.now().timestamp() * 1000))[:LONGEST]
    async with database.transaction() as session:
        nobody = (RunToken.id == token_id, RunToken.own_run_taken.is_(None))
        await session.execute(update(RunToken).where(*nobody).values(own_run_taken=start))
        taken = await session.scalar(select(RunToken.own_run_taken).where(RunToken.id == token_id))
    return taken == start


async def _begin(client: TrackingClient, mlflow_run_id: str, body: dict[str, Any]) -> Any:
    """What a client does to a run whose id it was given: it runs now, under the name and with the tags of the job."""
    name = {"run_name": body["run_name"]} if body.get("run_name") else {}
    await client.call("POST", "runs/update", {"run_id": mlflow_run_id, "status": "RUNNING", **name})
    tags = {tag["key"]: str(tag.get("value", "")) for tag in body.get("tags") or () if "key" in tag}
    tags.pop("mlflow.user", None)  # the account on the site; the gateway knows the person
    await client.set_tags(mlflow_run_id, tags)
    return await client.call("GET", "runs/get", query=[("run_id", mlflow_run_id)])
