"""The rules for requests that name runs, experiments, logged models or artifact paths."""

from typing import Any

from gateway.errors import Forbidden, InvalidInput
from gateway.tracking import artifacts
from gateway.tracking.desk import Answer, Asked, Desk, Passage, reply
from gateway.tracking.message import PARENT_TAG, Address, Kind, address, addresses


async def named(desk: Desk, asked: Asked) -> Answer | Passage:
    found = addresses(asked.query, asked.body, asked.match.variables)
    return await desk.forward(asked, await desk.gate.admit(asked.caller, asked.match.route, found))


async def open_to_all(desk: Desk, asked: Asked) -> Answer | Passage:
    return await desk.forward(asked)


async def new_run(desk: Desk, asked: Asked) -> Answer:
    """A run token creates in the experiment of its run only (a client that was told of none says 0), and below its run
    unless the tags name a parent: the run itself has its id before the job starts."""
    if asked.caller.run_id is None:
        await desk.gate.admit(asked.caller, asked.match.route, _in_experiment(asked.body))
        return reply(await desk.call(asked, asked.body))
    if named := [found for found in addresses(asked.body) if found.kind is not Kind.EXPERIMENT]:
        await desk.gate.admit(asked.caller, asked.match.route, named)
    tags = list(asked.body.get("tags") or ())
    if not any(tag.get("key") == PARENT_TAG for tag in tags):
        tags.append({"key": PARENT_TAG, "value": await desk.gate.mlflow_run(asked.caller)})
    own = await desk.gate.own_run(asked.caller)
    return reply(await desk.call(asked, {**asked.body, "experiment_id": own.experiment_id, "tags": tags}))


async def new_logged_model(desk: Desk, asked: Asked) -> Answer:
    if asked.caller.run_id is not None and not asked.body.get("source_run_id"):
        raise Forbidden("With a run token a logged model must name its run: source_run_id.")
    await desk.gate.admit(asked.caller, asked.match.route, _in_experiment(asked.body))
    return reply(await desk.call(asked, asked.body))


async def artifact(desk: Desk, asked: Asked) -> Answer | Passage:
    """A user needs the experiment; a run token the run or logged model that the path goes on with."""
    where = artifacts.parse(asked.match.variables.get("path") or str(asked.fields.get("path") or ""))
    if asked.caller.run_id is None:
        owner = Address(Kind.EXPERIMENT, where.experiment_id)
    elif where.logged_model_id is not None:
        owner = address(Kind.LOGGED_MODEL, where.logged_model_id)
    else:
        owner = address(Kind.RUN, where.run_id or "")
    await desk.gate.admit(asked.caller, asked.match.route, [owner])
    if (await desk.owners.place(owner)).experiment_id != where.experiment_id:
        raise Forbidden("The artifact path is not of this run.")
    return await desk.forward(asked)


def _in_experiment(body: dict[str, Any]) -> list[Address]:
    if "experiment_id" not in body:
        raise InvalidInput("The request must name its experiment: experiment_id.")
    return addresses(body)
