"""Subscriptions: made, changed, tried and removed by their owner only."""

import uuid
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record
from gateway.db.lease import Lease
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden, InvalidInput
from gateway.projects.access import require, role_of
from gateway.schemas.subscriptions import NewSubscription, SaveSubscription, SubscriptionView, TestedSubscription
from gateway.secrets.vault import Vault
from gateway.subscriptions.message import Message
from gateway.subscriptions.messengers import Messengers
from gateway.subscriptions.rows import Delivery, Subscription
from gateway.subscriptions.sending import send
from gateway.subscriptions.signature import new_secret
from gateway.subscriptions.telling import lease_name
from gateway.subscriptions.views import own_row, view
from gateway.subscriptions.words import OF_PROJECTS, OF_USERS, EventName, Kind
from gateway.users.access import require_self
from gateway.users.caller import Caller

MOST = 20
"""Of one user."""
TEST_TEXT = "This is a test: notifications arrive here."


async def create(
    db: Database, vault: Vault, messengers: Messengers, caller: Caller, user_id: UUID, body: SaveSubscription
) -> NewSubscription:
    """With the secret of a webhook, which is shown only now."""
    require_self(caller, user_id)
    columns = _columns(messengers, body)
    secret = new_secret() if Kind(body.kind) is Kind.WEBHOOK else None
    try:
        async with db.transaction() as session:
            await _check_project(session, caller, body.project_id)
            await _check_count(session, caller)
            kept = await vault.store(session, secret) if secret is not None else None
            row = Subscription(user_id=caller.user_id, kind=body.kind, secret_id=kept, **columns)
            session.add(row)
            await session.flush()
            record(session, caller, "subscription.create", "subscription", row.id, **_details(row))
            shown = await view(session, caller, row)
    except IntegrityError:
        raise _taken(body.name) from None
    return NewSubscription(**shown.model_dump(), secret=secret)


async def change(
    db: Database, messengers: Messengers, caller: Caller, user_id: UUID, subscription_id: UUID, body: SaveSubscription
) -> SubscriptionView:
    """All of it anew; what waits goes to the new address."""
    require_self(caller, user_id)
    columns = _columns(messengers, body)
    try:
        async with db.transaction() as session:
            row = await own_row(session, caller, subscription_id)
            if row.kind != body.kind:
                raise InvalidInput(f"kind: it stays {row.kind}; make another subscription for {body.kind}.")
            await _check_project(session, caller, body.project_id)
            here = Subscription.id == row.id
            stopped = None if body.enabled else row.stopped
            await session.execute(update(Subscription).where(here).values(**columns, stopped=stopped))
            row = await session.get_one(Subscription, row.id, populate_existing=True)
            record(session, caller, "subscription.change", "subscription", row.id, **_details(row))
            return await view(session, caller, row)
    except IntegrityError:
        raise _taken(body.name) from None


async def remove(db: Database, vault: Vault, caller: Caller, user_id: UUID, subscription_id: UUID) -> None:
    """With its deliveries; what waits is not sent any more."""
    require_self(caller, user_id)
    async with db.transaction() as session:
        row = await own_row(session, caller, subscription_id, locked=True)
        # In the order in which all others lock them.
        await session.execute(delete(Lease).where(Lease.name == lease_name(row.kind, row.id)))
        await session.execute(delete(Delivery).where(Delivery.subscription_id == row.id))
        await session.execute(delete(Subscription).where(Subscription.id == row.id))
        if row.secret_id is not None:
            await vault.remove(session, row.secret_id)
        record(session, caller, "subscription.delete", "subscription", row.id, name=row.name)


async def test(
    db: Database, vault: Vault, messengers: Messengers, caller: Caller, user_id: UUID, subscription_id: UUID
) -> TestedSubscription:
    """Send a message now, also when it is switched off; once, whatever comes back."""
    require_self(caller, user_id)
    async with db.transaction() as session:
        row = await own_row(session, caller, subscription_id)
        record(session, caller, "subscription.test", "subscription", row.id)
    message = Message(uuid.uuid4(), EventName.TEST, clock.now(), TEST_TEXT, row.id, project_id=row.project_id)
    receipt = await send(db, vault, messengers, row, message)
    return TestedSubscription(
        delivered=receipt.delivered, status=receipt.status, problem=receipt.problem, answer=receipt.answer
    )


def _columns(messengers: Messengers, body: SaveSubscription) -> dict[str, Any]:
    fits = OF_USERS if body.project_id is None else OF_PROJECTS
    events = list(dict.fromkeys(body.events or fits))
    if EventName.CREDENTIAL_ENDING in events and body.project_id is not None:
        raise InvalidInput(
            "events: CREDENTIAL_ENDING is about your own connections only.",
            next_step="Leave it out, or leave projectId out.",
        )
    return {
        "name": body.name,
        "project_id": body.project_id,
        "target": messengers.check(body.kind, _target(body)),
        "events": [str(event) for event in events],
        "enabled": body.enabled,
    }


def _target(body: SaveSubscription) -> str:
    is_webhook = Kind(body.kind) is Kind.WEBHOOK
    field, given, other = ("url", body.url, body.address) if is_webhook else ("address", body.address, body.url)
    if given is None or other is not None:
        raise InvalidInput(f"{field}: a subscription of kind {body.kind} takes this, and nothing else.")
    return given


async def _check_project(session: AsyncSession, caller: Caller, project_id: UUID | None) -> None:
    if project_id is None:
        return
    await require(session, caller, project_id, "guest")
    if await role_of(session, caller, project_id) is None:
        raise Forbidden(
            "projectId: only members of a project are told of it.", next_step="Ask an owner of the project."
        )


async def _check_count(session: AsyncSession, caller: Caller) -> None:
    mine = select(func.count()).where(Subscription.user_id == caller.user_id)
    if (await session.scalar(mine) or 0) >= MOST:
        raise Conflict(f"You have {MOST} subscriptions, which is the most.", next_step="Remove one first.")


def _details(row: Subscription) -> dict[str, str | bool | None]:
    """For the audit; an address may hold a secret."""
    return {"name": row.name, "kind": row.kind, "projectId": str(row.project_id or ""), "enabled": row.enabled}


def _taken(name: str) -> Conflict:
    return Conflict(f"name: you have a subscription {name!r} already; choose another name.")
