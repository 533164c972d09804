"""The rules for requests that name runs, experiments, logged models or artifact paths."""

from typing import Any

from gateway.errors import Forbidden, InvalidInput
from gateway.tracking import artifacts, creation
from gateway.tracking.desk import Answer, Asked, Desk, Passage, reply
from gateway.tracking.message import Address, Kind, address, addresses


async def named(desk: Desk, asked: Asked) -> Answer | Passage:
    found = addresses(asked.query, asked.body, asked.match.variables)
    return await desk.forward(asked, await desk.gate.admit(asked.caller, asked.match.route, found))


async def open_to_all(desk: Desk, asked: Asked) -> Answer | Passage:
    return await desk.forward(asked)


async def new_run(desk: Desk, asked: Asked) -> Answer:
    if asked.caller.run_id is None:
        await desk.gate.admit(asked.caller, asked.match.route, _in_experiment(asked.body))
        return reply(await desk.call(asked, asked.body))
    own = await desk.gate.own_run(asked.caller)
    if named := [found for found in addresses(asked.body) if found.kind is not Kind.EXPERIMENT]:
        await desk.gate.admit(asked.caller, asked.match.route, named)
    return reply(await creation.create(desk.database, desk.client, asked.caller, own, asked.body))


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
