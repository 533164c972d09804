"""What a user is told of, and where: subscriptions and their deliveries."""

from fastapi import APIRouter, Depends, Request, status

from gateway.api.dependencies import PAGE, CallerDep, ContextDep, Cursor, Limit, SubscriptionId, UserId
from gateway.api.rate import RateLimit
from gateway.schemas.subscriptions import (
    DeliveryView,
    NewSubscription,
    SaveSubscription,
    SubscriptionView,
    TestedSubscription,
)
from gateway.schemas.wire import Page
from gateway.subscriptions import service, views

router = APIRouter(prefix="/users/{userId}/settings/subscriptions", tags=["Subscriptions"])
TESTS_PER_MINUTE = 10
"""Of one user: they reach others at once."""


def _count_test(request: Request, caller: CallerDep) -> None:
    limit: RateLimit = request.app.state.test_limit
    limit.take(f"user:{caller.user_id}")


@router.get("")
async def list_subscriptions(
    context: ContextDep, caller: CallerDep, user_id: UserId, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[SubscriptionView]:
    """Newest first."""
    return await views.listing(context.db, caller, user_id, cursor, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_subscription(
    context: ContextDep, caller: CallerDep, user_id: UserId, body: SaveSubscription
) -> NewSubscription:
    """Be told of events. The secret of a webhook is shown only now."""
    return await service.create(context.db, context.vault, context.messengers, caller, user_id, body)


@router.get("/{subscriptionId}")
async def show_subscription(
    context: ContextDep, caller: CallerDep, user_id: UserId, subscription_id: SubscriptionId
) -> SubscriptionView:
    """One subscription, never its secret."""
    return await views.show(context.db, caller, user_id, subscription_id)


@router.put("/{subscriptionId}")
async def change_subscription(
    context: ContextDep, caller: CallerDep, user_id: UserId, subscription_id: SubscriptionId, body: SaveSubscription
) -> SubscriptionView:
    """Replace it whole. Kind and secret stay."""
    return await service.change(context.db, context.messengers, caller, user_id, subscription_id, body)


@router.delete("/{subscriptionId}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_subscription(
    context: ContextDep, caller: CallerDep, user_id: UserId, subscription_id: SubscriptionId
) -> None:
    """With its deliveries; what waits is not sent."""
    await service.remove(context.db, context.vault, caller, user_id, subscription_id)


@router.post("/{subscriptionId}/test", dependencies=[Depends(_count_test)])
async def test_subscription(
    context: ContextDep, caller: CallerDep, user_id: UserId, subscription_id: SubscriptionId
) -> TestedSubscription:
    """Send a message with the event TEST now, and show what came back."""
    return await service.test(context.db, context.vault, context.messengers, caller, user_id, subscription_id)


@router.get("/{subscriptionId}/deliveries")
async def list_deliveries(
    context: ContextDep,
    caller: CallerDep,
    user_id: UserId,
    subscription_id: SubscriptionId,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Page[DeliveryView]:
    """Messages of the last 30 days, newest first: what was told, and what became of it."""
    return await views.deliveries(context.db, caller, user_id, subscription_id, cursor, limit)
