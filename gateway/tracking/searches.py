"""The rules for searches: each is asked, or answered, over what is the caller's only."""

from collections.abc import Collection
from typing import Any

from gateway.tracking import listing, registry, standing
from gateway.tracking.desk import Answer, Asked, Desk, reply
from gateway.tracking.hidden import check_search
from gateway.tracking.message import Address, Kind, addresses
from gateway.tracking.names import split_model
from gateway.tracking.owners import parent_of


async def experiment_name(desk: Desk, asked: Asked) -> Answer:
    name = str(asked.fields.get("experiment_name", ""))
    by_name = standing.experiment_by_name
    if asked.caller.run_id is not None:
        await desk.gate.own_run(asked.caller)  # which has it made, should MLflow have been late
        by_name = standing.own_experiment_by_name
    async with desk.database.reading() as session:
        found = await by_name(session, asked.caller, name)
    hidden = await desk.gate.admit(asked.caller, asked.match.route, [Address(Kind.EXPERIMENT, found)])
    return reply(await desk.client.call("GET", "experiments/get", query=[("experiment_id", found)]), hidden)


async def in_experiments(desk: Desk, asked: Asked) -> Answer:
    body = dict(asked.body)
    hidden = False
    if named := addresses(body):
        hidden = await desk.gate.admit(asked.caller, asked.match.route, named)
    else:
        body["experiment_ids"] = await _own_experiments(desk, asked)
    if not body.get("experiment_ids"):
        return reply({})
    if hidden:
        check_search(body)
    answer = await desk.call(asked, body)
    for field in ("runs", "models"):
        if field in answer:
            answer[field] = [i for i in answer[field] if await _shown(desk, asked, i, body["experiment_ids"])]
    return reply(answer, hidden)


async def list_experiments(desk: Desk, asked: Asked) -> Answer:
    fields = asked.fields
    mine = set(await _own_experiments(desk, asked))
    kept: dict[str, Any] = {key: fields[key] for key in ("filter", "order_by", "view_type") if key in fields}

    async def fetch(token: str) -> dict[str, Any]:
        page: dict[str, Any] = {**kept, "max_results": listing.UPSTREAM_PAGE, "page_token": token}
        return await desk.client.call("POST", "experiments/search", page)

    return reply(await listing.narrowed(fetch, "experiments", lambda e: e["experiment_id"] in mine, fields))


async def list_models(desk: Desk, asked: Asked) -> Answer:
    fields, path = asked.fields, asked.match.route.path
    async with desk.database.reading() as session:
        projects = await standing.own_projects(session, asked.caller)
    kept: dict[str, Any] = {key: fields[key] for key in ("filter", "order_by") if key in fields}
    if "filter" in kept:
        kept["filter"] = registry.filtered(kept["filter"], projects)

    async def fetch(token: str) -> dict[str, Any]:
        page: dict[str, Any] = {
            **kept,
            "max_results": listing.UPSTREAM_PAGE,
            **({"page_token": token} if token else {}),
        }
        return await desk.client.call("GET", path, query=listing.pairs(page))

    field = "registered_models" if path.startswith("registered") else "model_versions"
    return reply(await listing.narrowed(fetch, field, lambda m: split_model(m["name"])[0] in projects, fields))


async def _own_experiments(desk: Desk, asked: Asked) -> list[str]:
    if asked.caller.run_id is not None:
        return [(await desk.gate.own_run(asked.caller)).experiment_id]
    async with desk.database.reading() as session:
        return await standing.own_experiments(session, asked.caller, asked.match.route.least)


async def _shown(desk: Desk, asked: Asked, item: dict[str, Any], experiment_ids: Collection[str]) -> bool:
    """MLflow searched the right experiments, and this looks again; to a run token only its own shows."""
    info = item["info"]
    if info["experiment_id"] not in experiment_ids:
        return False
    if asked.caller.run_id is None:
        return True
    own = (await desk.gate.own_run(asked.caller)).mlflow_run_id
    if "model_id" in info:
        above = info.get("source_run_id")
    elif info["run_id"] == own:
        return True
    else:
        above = parent_of(item)
    return own is not None and bool(above) and own in (await desk.owners.place(Address(Kind.RUN, above))).runs
