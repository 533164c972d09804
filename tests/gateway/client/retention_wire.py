"""The wire of a gateway, as far as it is about retention."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request

STAMP = "2026-01-02T03:04:05Z"
NEVER = {"logDays": None, "siteDirectoryDays": None, "runDays": None}
NOTHING = {"runs": 0, "logs": 0, "siteDirectories": 0, "logBytes": 0, "stay": 0}


@dataclass
class Retention:
    """The rules of the one project, and what a preview says."""

    rules: dict[str, Any] = field(default_factory=lambda: dict(NEVER))
    items: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: dict(NOTHING))
    asked: list[tuple[str, dict[str, Any] | None]] = field(default_factory=list)
    """The bodies of PUT and preview; None for a preview of the saved rules."""
    log_removed: str | None = None
    """What is said of the log of every run."""


def item_view(run_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "runId": run_id,
        "name": "train",
        "state": "FINISHED",
        "endedAt": STAMP,
        "run": False,
        "log": True,
        "siteDirectory": False,
        "logBytes": 2048,
        "stays": None,
        "problem": None,
        **changes,
    }


def add_routes(api: FastAPI, prefix: str, retention: Retention) -> None:
    path = prefix + "/projects/{project}/retention"

    def view() -> dict[str, Any]:
        by = {"userId": "00000000-0000-0000-0000-000000000001", "name": "ada"}
        return {**retention.rules, "changedAt": STAMP, "changedBy": by}

    @api.get(path)
    async def show_retention(project: str) -> dict[str, Any]:
        return view()

    @api.put(path)
    async def change_retention(project: str, request: Request) -> dict[str, Any]:
        retention.asked.append(("PUT", await request.json()))
        retention.rules = {**NEVER, **await request.json()}
        return view()

    @api.post(path + "/preview")
    async def preview_retention(project: str, request: Request, cursor: int = 0, limit: int = 50) -> dict[str, Any]:
        body = await request.json() if await request.body() else None
        retention.asked.append(("preview", body))
        end = cursor + limit
        more = str(end) if end < len(retention.items) else None
        rules = retention.rules if body is None else {**NEVER, **body}
        items = retention.items[cursor:end]
        return {"items": items, "nextCursor": more, "rules": rules, "totals": retention.totals}
