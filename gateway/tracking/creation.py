"""`runs/create` by a run: MLflow's run of the gateway's run first, then its children."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update

from gateway import clock
from gateway.db.session import Database
from gateway.runs.rows import Run
from gateway.tracking.client import TrackingClient
from gateway.tracking.message import PARENT_TAG
from gateway.tracking.standing import OwnRun
from gateway.users.caller import Caller


async def create(database: Database, client: TrackingClient, caller: Caller, own: OwnRun, body: dict[str, Any]) -> Any:
    """MLflow's answer. Without a parent in the tags it is the run's own one, if that is new or this request is the
    repeat of the one that made it; else a child."""
    if not any(tag.get("key") == PARENT_TAG for tag in body.get("tags") or ()):
        if own.mlflow_run_id is None:
            return await _adopt(database, client, caller, own, body)
        mine = await client.call("GET", "runs/get", query=[("run_id", own.mlflow_run_id)])
        if _repeats(mine["run"]["info"], body):
            return mine
        body = {**body, "tags": [*(body.get("tags") or ()), {"key": PARENT_TAG, "value": own.mlflow_run_id}]}
    return await client.call("POST", "runs/create", body)


def _repeats(info: dict[str, Any], body: dict[str, Any]) -> bool:
    """Clients repeat a request whose answer was lost; its start time, in milliseconds, tells it from another one."""
    return body.get("start_time") is not None and str(info.get("start_time")) == str(body["start_time"])


async def _adopt(database: Database, client: TrackingClient, caller: Caller, own: OwnRun, body: dict[str, Any]) -> Any:
    made = await client.ensure_run(
        experiment_id=own.experiment_id,
        run_id=own.run_id,
        name=body.get("run_name") or own.name,
        user=caller.name,
        tags={tag["key"]: str(tag.get("value", "")) for tag in body.get("tags") or () if "key" in tag},
        start_time=_time(body.get("start_time")),
    )
    async with database.transaction() as session:
        await session.execute(
            update(Run).where(Run.id == own.run_id, Run.mlflow_run_id.is_(None)).values(mlflow_run_id=made)
        )
        kept = await session.get_one(Run, own.run_id)
        linked = kept.mlflow_run_id or made
    return await client.call("GET", "runs/get", query=[("run_id", linked)])


def _time(milliseconds: object) -> datetime:
    try:
        return datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return clock.now()
