"""What the caller is told of, and where, for programs with and without asyncio."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from gateway.client import call
from gateway.client.call import Call
from gateway.client.flow import Flow
from gateway.client.kinds import SUBSCRIPTION, of_user
from gateway.client.listings import AsyncListing, Described, Listing
from gateway.client.names import Ref
from gateway.schemas.subscriptions import (
    DeliveryView,
    NewSubscription,
    SaveSubscription,
    SubscriptionView,
    TestedSubscription,
)
from gateway.schemas.wire import Page

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

_PATH = "/settings/subscriptions"
_TEST_SECONDS = 90.0
"""The gateway speaks to the receiver meanwhile."""


class _Described(Described[SubscriptionView, SaveSubscription]):
    def _make(self, body: SaveSubscription) -> Flow[NewSubscription]:
        path = yield from self._place()
        return (yield from self._session.perform(call.post(path, NewSubscription, body)))

    def _replace(self, ref: Ref, body: SaveSubscription) -> Flow[SubscriptionView]:
        return (yield from self.on_flow(ref, lambda path: call.put(path, SubscriptionView, body)))

    def _test(self, ref: Ref) -> Flow[TestedSubscription]:
        def make(path: str) -> Call[TestedSubscription]:
            return call.post(f"{path}/test", TestedSubscription, seconds=_TEST_SECONDS)

        return (yield from self.on_flow(ref, make))

    def _deliveries(self, ref: Ref, cursor: str | None, limit: int) -> Flow[Page[DeliveryView]]:
        def make(path: str) -> Call[Page[DeliveryView]]:
            return call.page(f"{path}/deliveries", DeliveryView, cursor, limit=limit)

        return (yield from self.on_flow(ref, make))


class Subscriptions(Listing[SubscriptionView, SaveSubscription], _Described):
    """The caller's own subscriptions; each is named by id or name."""

    def __init__(self, driver: "Driver") -> None:
        super().__init__(driver, SUBSCRIPTION, of_user(driver.session, _PATH))

    def create(self, body: SaveSubscription) -> NewSubscription:
        """With the secret of a webhook, which is shown only here."""
        return self._driver.run(self._make(body))

    def replace(self, ref: Ref, body: SaveSubscription) -> SubscriptionView:
        """All of it anew; kind and secret stay."""
        return self._driver.run(self._replace(ref, body))

    def test(self, ref: Ref) -> TestedSubscription:
        """Have a message sent now; what came back."""
        return self._driver.run(self._test(ref))

    def deliveries(self, ref: Ref, *, page_size: int = call.PAGE_SIZE) -> Iterator[DeliveryView]:
        """Its messages, newest first; pages are fetched as they are needed."""
        return self._driver.each(lambda cursor: self._deliveries(ref, cursor, page_size))


class AsyncSubscriptions(AsyncListing[SubscriptionView, SaveSubscription], _Described):
    """As `Subscriptions`."""

    def __init__(self, driver: "AsyncDriver") -> None:
        super().__init__(driver, SUBSCRIPTION, of_user(driver.session, _PATH))

    async def create(self, body: SaveSubscription) -> NewSubscription:
        return await self._driver.run(self._make(body))

    async def replace(self, ref: Ref, body: SaveSubscription) -> SubscriptionView:
        return await self._driver.run(self._replace(ref, body))

    async def test(self, ref: Ref) -> TestedSubscription:
        return await self._driver.run(self._test(ref))

    def deliveries(self, ref: Ref, *, page_size: int = call.PAGE_SIZE) -> AsyncIterator[DeliveryView]:
        return self._driver.each(lambda cursor: self._deliveries(ref, cursor, page_size))
