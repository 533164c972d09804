"""The wire of a gateway, as far as it is about budget guards."""

from typing import Any

from fastapi import FastAPI, Request

NO_CAP = {"coreHours": None, "gpuHours": None}
NOTHING = {"coreHours": 0.0, "gpuHours": 0.0}
OFF: dict[str, Any] = {
    "budgetGuard": "off",
    "perRun": NO_CAP,
    "perMonth": NO_CAP,
    "timeZone": "UTC",
    "month": "2026-01",
    "monthBegins": "2026-01-01T00:00:00Z",
    "monthEnds": "2026-02-01T00:00:00Z",
    "spent": NOTHING,
    "reserved": NOTHING,
    "left": NO_CAP,
    "estimatedRuns": 0,
    "unknownRuns": 0,
    "asOf": "2026-01-02T03:04:05Z",
    "changedAt": None,
    "changedBy": None,
}


def add_routes(api: FastAPI, prefix: str, bodies: list[dict[str, Any]], budget: dict[str, Any]) -> None:
    place = prefix + "/projects/{project}/budget"

    @api.get(place)
    async def show_budget(project: str) -> dict[str, Any]:
        return {"projectId": project, **budget}

    @api.put(place)
    async def set_budget(project: str, request: Request) -> dict[str, Any]:
        body = await request.json()
        bodies.append(body)
        budget.update({name: {**NO_CAP, **body[name]} for name in ("perRun", "perMonth")})
        budget.update({name: body[name] for name in ("budgetGuard", "timeZone")})
        return {"projectId": project, **budget}
