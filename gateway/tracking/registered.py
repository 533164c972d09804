"""The rule for requests about a registered model or its versions."""

from uuid import UUID

from gateway.errors import Forbidden
from gateway.tracking import listing, registry, standing
from gateway.tracking.desk import Answer, Asked, Desk, Passage, reply
from gateway.tracking.message import Address, addresses
from gateway.tracking.routes import Rule


async def model(desk: Desk, asked: Asked) -> Answer | Passage:
    route, fields = asked.match.route, asked.fields
    project, full = await _project(desk, asked, str(fields.get("name") or ""))
    hidden = await _admit(desk, asked, project, full)
    changed = {**fields, "name": full}
    if "new_name" in fields:
        changed["new_name"] = registry.renamed(str(fields["new_name"]), project)
    named = addresses(fields)
    if route.rule is Rule.NEW_VERSION:
        changed["source"], sources = await _source(desk, asked, str(fields.get("source") or ""), project)
        named += sources
    if named:
        # A version's bytes show to all who see the model, so they must lie in its project.
        await desk.gate.admit(asked.caller, route, named, within=project)
    if route.method == "GET":
        return await desk.forward(Asked(asked.caller, asked.match, listing.pairs(changed), {}), hidden)
    return reply(await desk.call(asked, changed), hidden)


async def _project(desk: Desk, asked: Asked, name: str) -> tuple[UUID, str]:
    """Project and name in MLflow."""
    making = asked.match.route.path == "registered-models/create"
    async with desk.database.reading() as session:
        projects = await standing.own_projects(session, asked.caller, asked.match.route.least if making else "guest")
    return registry.new(name, projects) if making else await registry.existing(desk.client, name, projects)


async def _admit(desk: Desk, asked: Asked, project: UUID, full: str) -> bool:
    return await desk.gate.admit_project(asked.caller, asked.match.route, project, full, registry.missing(full))


async def _source(desk: Desk, asked: Asked, text: str, project: UUID) -> tuple[str, list[Address]]:
    async def of_model(name: str) -> str:
        home, full = await _project(desk, asked, name)
        await _admit(desk, asked, home, full)
        if home != project:
            raise Forbidden("A version must be made from something of the model's own project.")
        return full

    return await registry.source(text, of_model)
