"""Sending what is due of one subscription, under its lease: each try is stored when it has ended.

A gateway that stops between a try and its end repeats the try: a message arrives at least once, with the same id.
"""

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record
from gateway.db.lease import NamedLease, later, still_held
from gateway.db.session import Database
from gateway.errors import GatewayError
from gateway.projects.rows import Member, Project
from gateway.secrets.vault import Vault
from gateway.subscriptions.message import Message, Receipt
from gateway.subscriptions.messengers import Messengers, Where
from gateway.subscriptions.rows import Delivery, Subscription
from gateway.subscriptions.words import DeliveryState, EventName
from gateway.users.rows import User

log = logging.getLogger(__name__)
PAUSES = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 28_800.0, 28_800.0)
"""Seconds between the tries of one message: it is given up after 23.6 hours."""
TURN_SECONDS = 60.0
"""A turn begins no try later than this: then others have theirs."""
SILENT_SECONDS = 5.0
"""After a try without an answer the other messages of the subscription wait, and other subscriptions have the turn."""
KEPT = timedelta(days=30)
"""Of deliveries that ended."""
SWITCHED_OFF = "The subscription was switched off."
FAULT = "It could not be sent; the operator finds why in the gateway's log."


@dataclass(frozen=True, slots=True)
class _Next:
    """The delivery that is due first, or how long until one is."""

    due: tuple[Subscription, Delivery, Message] | None = None
    due_in: float | None = None
    unwanted: str | None = None
    """Why nothing may be sent any more."""


async def turn(db: Database, vault: Vault, messengers: Messengers, lease: NamedLease) -> float | None:
    """Send what is due, one after the other. Returns the seconds until the next try, None when nothing waits."""
    end = time.monotonic() + TURN_SECONDS
    subscription_id = uuid.UUID(lease.name.rpartition(":")[2])
    while time.monotonic() < end:
        found = await _next(db, subscription_id)
        if found.unwanted is not None:
            return None if await _drop(db, lease, subscription_id) else 0.0
        if found.due is None:
            return found.due_in
        subscription, delivery, message = found.due
        receipt = await send(db, vault, messengers, subscription, message)
        if not await _store(db, lease, delivery, receipt, subscription.target):
            return None
        if receipt.status is None:
            return SILENT_SECONDS
    return 0.0


async def send(
    db: Database, vault: Vault, messengers: Messengers, subscription: Subscription, message: Message
) -> Receipt:
    """One try. What goes wrong stands in the receipt, also what nobody foresaw: so the message has its pauses and its
    end."""
    try:
        async with db.reading() as session:
            kept = subscription.secret_id
            secret = await vault.open(session, kept) if kept is not None else ""
        return await messengers.send(Where(subscription.kind, subscription.target, secret), message)
    except GatewayError as error:
        return Receipt(False, problem=error.detail)
    except Exception:
        log.exception("a message of subscription %s could not be sent", subscription.id)
        return Receipt(False, problem=FAULT)


async def _next(db: Database, subscription_id: uuid.UUID) -> _Next:
    async with db.reading() as session:
        row = (await session.execute(_asker(subscription_id))).one_or_none()
        if row is None:
            return _Next()
        if (why := _unwanted(*row)) is not None:
            return _Next(unwanted=why)
        mine = Delivery.subscription_id == subscription_id, Delivery.due_at.is_not(None)
        due = Delivery.due_at <= later(session, 0)
        order = Delivery.due_at, Delivery.created_at, Delivery.id
        delivery = await session.scalar(select(Delivery).where(*mine, due).order_by(*order).limit(1))
        if delivery is None:
            return _Next(due_in=await _wait(session, mine))
        project = await session.get(Project, delivery.project_id) if delivery.project_id is not None else None
        message = _message(delivery, project.name if project is not None else None)
        return _Next((row[0], delivery, message))


def _asker(subscription_id: uuid.UUID) -> "Select[*tuple[Any, ...]]":
    """The subscription, and what says whether its user may be told."""
    member = and_(Member.project_id == Subscription.project_id, Member.user_id == Subscription.user_id)
    query = select(Subscription, User.disabled_at, Member.role).join(User, User.id == Subscription.user_id)
    return query.join(Member, member, isouter=True).where(Subscription.id == subscription_id)


def _unwanted(subscription: Subscription, disabled_at: datetime | None, role: str | None) -> str | None:
    if not subscription.enabled:
        return subscription.stopped or SWITCHED_OFF
    if disabled_at is not None:
        return "The user was disabled."
    if subscription.project_id is not None and role is None:
        return "You are no longer a member of the project."
    return None


async def _wait(session: AsyncSession, mine: tuple[Any, ...]) -> float | None:
    row = (await session.execute(select(func.min(Delivery.due_at), later(session, 0)).where(*mine))).one()
    return max(0.0, (row[0] - row[1]).total_seconds()) if row[0] is not None else None


def _message(row: Delivery, project: str | None) -> Message:
    ids = {name: getattr(row, name) for name in ("project_id", "run_id", "schedule_id", "connection_id")}
    event = EventName(row.event)
    return Message(row.id, event, row.at, row.text, row.subscription_id, reason=row.reason, project=project, **ids)


async def _store(db: Database, lease: NamedLease, row: Delivery, receipt: Receipt, tried: str) -> bool:
    """What came of a try at an address; False, and nothing stored, when another gateway has the lease by now."""
    async with db.transaction() as session:
        if receipt.final:
            # Before the lease: in the order in which all others lock them.
            receipt = await _verdict(session, row.subscription_id, receipt, tried)
        if not await still_held(session, lease):
            return False
        tries = row.attempts + 1
        values: dict[str, Any] = {"attempts": tries, "status": receipt.status, "problem": receipt.problem}
        values |= _outcome(session, tries, receipt)
        still = Delivery.id == row.id, Delivery.state == DeliveryState.WAITING
        await session.execute(update(Delivery).where(*still).values(**values))
        if receipt.gone:
            await _stop(session, row.subscription_id, receipt.problem or "")
    return True


async def _verdict(session: AsyncSession, subscription_id: uuid.UUID, receipt: Receipt, tried: str) -> Receipt:
    """What is final for the address that was tried is so for no other. The subscription keeps its address until the end
    of the transaction."""
    here = select(Subscription.target).where(Subscription.id == subscription_id)
    target = await session.scalar(here.with_for_update(key_share=True))
    return receipt if target == tried else replace(receipt, final=False, gone=False)


def _outcome(session: AsyncSession, tries: int, receipt: Receipt) -> Mapping[str, Any]:
    over = {"due_at": None, "done_at": clock.now()}
    if receipt.delivered:
        return {"state": DeliveryState.DELIVERED, **over}
    if receipt.final:
        return {"state": DeliveryState.GIVEN_UP, **over}
    if tries > len(PAUSES):
        given_up = f"{receipt.problem} Given up after {tries} tries."
        return {"state": DeliveryState.GIVEN_UP, "problem": given_up, **over}
    return {"due_at": later(session, PAUSES[tries - 1])}


async def _stop(session: AsyncSession, subscription_id: uuid.UUID, why: str) -> None:
    here = Subscription.id == subscription_id
    await session.execute(update(Subscription).where(here).values(enabled=False, stopped=why))
    record(session, None, "subscription.stop", "subscription", subscription_id, reason=why)


async def _drop(db: Database, lease: NamedLease, subscription_id: uuid.UUID) -> bool:
    """Drop what waits; False, and nothing dropped, when it may be sent by now."""
    async with db.transaction() as session:
        locked = _asker(subscription_id).with_for_update(key_share=True, of=Subscription)
        row = (await session.execute(locked)).one_or_none()
        why = _unwanted(*row) if row is not None else None
        if why is None:
            return False
        if await still_held(session, lease):
            waits = Delivery.subscription_id == subscription_id, Delivery.state == DeliveryState.WAITING
            values = {"state": DeliveryState.DROPPED, "problem": why, "due_at": None, "done_at": clock.now()}
            await session.execute(update(Delivery).where(*waits).values(**values))
    return True


async def forget_old(db: Database) -> None:
    """Remove deliveries that ended longer than KEPT ago. Repeatable."""
    async with db.transaction() as session:
        await session.execute(delete(Delivery).where(Delivery.done_at < clock.now() - KEPT))
