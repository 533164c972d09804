"""Reading subscriptions and their deliveries: the owner's only, and never a secret."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import NotFound
from gateway.projects.access import role_of
from gateway.projects.rows import Project
from gateway.schemas.subscriptions import DeliveryView, SubscriptionView
from gateway.schemas.wire import Page
from gateway.subscriptions.rows import Delivery, Subscription
from gateway.subscriptions.words import Kind
from gateway.users.access import require_self
from gateway.users.caller import Caller


async def listing(
    db: Database, caller: Caller, user_id: UUID, cursor: str | None, limit: int
) -> Page[SubscriptionView]:
    """The caller's own, newest first."""
    require_self(caller, user_id)
    async with db.reading() as session:
        mine = select(Subscription).where(Subscription.user_id == caller.user_id)
        rows, following = await fetch(session, mine, Subscription, cursor, limit)
        items = [await view(session, caller, row) for row in rows]
    return Page(items=items, next_cursor=following)


async def show(db: Database, caller: Caller, user_id: UUID, subscription_id: UUID) -> SubscriptionView:
    """One of the caller's own."""
    require_self(caller, user_id)
    async with db.reading() as session:
        return await view(session, caller, await own_row(session, caller, subscription_id))


async def deliveries(
    db: Database, caller: Caller, user_id: UUID, subscription_id: UUID, cursor: str | None, limit: int
) -> Page[DeliveryView]:
    """Messages of one subscription, newest first."""
    require_self(caller, user_id)
    async with db.reading() as session:
        row = await own_row(session, caller, subscription_id)
        made = select(Delivery).where(Delivery.subscription_id == row.id)
        rows, following = await fetch(session, made, Delivery, cursor, limit)
    return Page(items=[_delivery(row) for row in rows], next_cursor=following)


async def own_row(
    session: AsyncSession, caller: Caller, subscription_id: UUID, *, locked: bool = False
) -> Subscription:
    """Raises NotFound for one of others."""
    query = select(Subscription).where(Subscription.id == subscription_id, Subscription.user_id == caller.user_id)
    row = await session.scalar(query.with_for_update() if locked else query)
    if row is None:
        raise NotFound("You have no such subscription.")
    found: Subscription = row
    return found


async def view(session: AsyncSession, caller: Caller, row: Subscription) -> SubscriptionView:
    """As its owner sees it."""
    member = row.project_id is not None and await role_of(session, caller, row.project_id) is not None
    project = await session.get(Project, row.project_id) if member else None
    is_webhook = row.kind == Kind.WEBHOOK
    return SubscriptionView(
        subscription_id=row.id,
        name=row.name,
        kind=row.kind,
        project_id=row.project_id,
        project_name=project.name if project is not None else None,
        url=row.target if is_webhook else None,
        address=None if is_webhook else row.target,
        events=row.events,
        enabled=row.enabled,
        stopped=row.stopped,
        created_at=row.created_at,
    )


def _delivery(row: Delivery) -> DeliveryView:
    same = ("event", "at", "text", "reason", "project_id", "run_id", "schedule_id", "connection_id", "state")
    more = ("attempts", "status", "problem", "due_at", "done_at", "created_at")
    return DeliveryView(delivery_id=row.id, **{name: getattr(row, name) for name in (*same, *more)})
