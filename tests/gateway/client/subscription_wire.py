"""The wire of a gateway, as far as it is about subscriptions."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request

SUBSCRIPTION = "00000000-0000-0000-0000-000000000014"
DELIVERY = "00000000-0000-0000-0000-000000000015"
STAMP = "2026-01-02T03:04:05Z"


def subscription_view(**changes: Any) -> dict[str, Any]:
    return {
        "subscriptionId": SUBSCRIPTION,
        "name": "hook",
        "kind": "webhook",
        "projectId": None,
        "projectName": None,
        "url": "https://hooks.example.org/a",
        "address": None,
        "events": ["RUN_FAILED", "RUN_LOST"],
        "enabled": True,
        "stopped": None,
        "createdAt": STAMP,
        **changes,
    }


def delivery_view(**changes: Any) -> dict[str, Any]:
    empty = ("reason", "projectId", "runId", "scheduleId", "connectionId", "dueAt", "doneAt")
    return {
        **dict.fromkeys(empty),
        "deliveryId": DELIVERY,
        "event": "RUN_FAILED",
        "at": STAMP,
        "text": "Run train failed.",
        "state": "WAITING",
        "attempts": 1,
        "status": 500,
        "problem": "The receiver answered 500.",
        "createdAt": STAMP,
        **changes,
    }


def add_routes(api: FastAPI, prefix: str, bodies: list[dict[str, Any]], tested: Callable[[], dict[str, Any]]) -> None:
    """What a listing alone does not answer. `tested`: what came back for a test."""
    path = prefix + "/users/{user}/settings/subscriptions"

    @api.post(path, status_code=201)
    async def create_subscription(request: Request) -> dict[str, Any]:
        bodies.append(await request.json())
        secret = "whsec_c2VjcmV0" if bodies[-1]["kind"] == "webhook" else None
        return {**subscription_view(), **bodies[-1], "secret": secret}

    @api.put(path + "/{subscription}")
    async def replace_subscription(subscription: str, request: Request) -> dict[str, Any]:
        bodies.append(await request.json())
        return {**subscription_view(), **bodies[-1]}

    @api.post(path + "/{subscription}/test")
    async def test_subscription(subscription: str) -> dict[str, Any]:
        return tested()
