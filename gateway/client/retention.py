"""Retention of one project, for programs with and without asyncio."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from gateway.client import call
from gateway.client.call import PAGE_SIZE, Call
from gateway.client.flow import Flow
from gateway.client.names import Place
from gateway.client.session import Session
from gateway.schemas.retention import RetentionItem, RetentionPreview, RetentionView, SetRetention

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver


class _Flows:
    def __init__(self, session: Session, place: Place) -> None:
        self._session, self._place = session, place

    def get(self) -> Flow[RetentionView]:
        path = yield from self._place()
        return (yield from self._session.perform(call.get(path, RetentionView)))

    def set(self, body: SetRetention) -> Flow[RetentionView]:
        path = yield from self._place()
        return (yield from self._session.perform(call.put(path, RetentionView, body)))

    def preview(self, rules: SetRetention | None, cursor: str | None, limit: int) -> Flow[RetentionPreview]:
        path = yield from self._place()
        read, query = RetentionPreview.model_validate_json, {"limit": limit, "cursor": cursor}
        asked = Call("POST", f"{path}/preview", read, query, rules, repeatable=True)
        return (yield from self._session.perform(asked))


class Retention:
    """How long a project keeps logs, directories on the site, and runs."""

    def __init__(self, driver: "Driver", place: Place) -> None:
        self._driver, self._flows = driver, _Flows(driver.session, place)

    def get(self) -> RetentionView:
        return self._driver.run(self._flows.get())

    def set(self, body: SetRetention) -> RetentionView:
        """Replace all rules. What has come to its end by them goes within minutes, and does not come back."""
        return self._driver.run(self._flows.set(body))

    def preview(self, rules: SetRetention | None = None, *, limit: int = PAGE_SIZE) -> RetentionPreview:
        """What would go now, by `rules` or else by the saved ones: the totals, and the newest `limit` runs."""
        return self._driver.run(self._flows.preview(rules, None, limit))

    def due(self, rules: SetRetention | None = None, *, page_size: int = PAGE_SIZE) -> Iterator[RetentionItem]:
        """All runs of the preview; pages are fetched as they are needed."""
        return self._driver.each(lambda cursor: self._flows.preview(rules, cursor, page_size))


class AsyncRetention:
    """As `Retention`."""

    def __init__(self, driver: "AsyncDriver", place: Place) -> None:
        self._driver, self._flows = driver, _Flows(driver.session, place)

    async def get(self) -> RetentionView:
        return await self._driver.run(self._flows.get())

    async def set(self, body: SetRetention) -> RetentionView:
        return await self._driver.run(self._flows.set(body))

    async def preview(self, rules: SetRetention | None = None, *, limit: int = PAGE_SIZE) -> RetentionPreview:
        return await self._driver.run(self._flows.preview(rules, None, limit))

    def due(self, rules: SetRetention | None = None, *, page_size: int = PAGE_SIZE) -> AsyncIterator[RetentionItem]:
        return self._driver.each(lambda cursor: self._flows.preview(rules, cursor, page_size))
