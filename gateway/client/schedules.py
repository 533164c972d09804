"""Schedules of one project, for programs with and without asyncio."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from gateway.client import call
from gateway.client.call import Call
from gateway.client.flow import Flow
from gateway.client.kinds import SCHEDULE
from gateway.client.listings import AsyncListing, Described, Listing
from gateway.client.names import Place, Ref
from gateway.schemas.schedules import CreateSchedule, FireNow, FiringView, SchedulePreview, ScheduleView
from gateway.schemas.wire import Page

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

_BY_DEFAULT = FireNow()


class _Described(Described[ScheduleView, CreateSchedule]):
    def _replace(self, ref: Ref, body: CreateSchedule) -> Flow[ScheduleView]:
        return (yield from self.on_flow(ref, lambda path: call.put(path, ScheduleView, body)))

    def _deed(self, ref: Ref, deed: str) -> Flow[ScheduleView]:
        def make(path: str) -> Call[ScheduleView]:
            return Call("POST", f"{path}/{deed}", ScheduleView.model_validate_json, repeatable=True)

        return (yield from self.on_flow(ref, make))

    def _fire(self, ref: Ref, body: FireNow) -> Flow[FiringView]:
        """The key makes a firing that is sent twice one run."""
        key = str(uuid.uuid4())

        def make(path: str) -> Call[FiringView]:
            return Call("POST", f"{path}/fire-now", FiringView.model_validate_json, body=body, key=key)

        return (yield from self.on_flow(ref, make))

    def _preview(self, ref: Ref, count: int) -> Flow[SchedulePreview]:
        return (yield from self.on_flow(ref, lambda path: call.get(f"{path}/preview", SchedulePreview, count=count)))

    def _preview_of(
        self, expression: str, zone: str, start: str | None, end: str | None, count: int
    ) -> Flow[SchedulePreview]:
        path = yield from self._place()
        query = {"cronExpression": expression, "timeZone": zone, "startDate": start, "endDate": end, "count": count}
        return (yield from self._session.perform(call.get(f"{path}/preview", SchedulePreview, **query)))

    def _history(self, ref: Ref, cursor: str | None, limit: int) -> Flow[Page[FiringView]]:
        def make(path: str) -> Call[Page[FiringView]]:
            return call.page(f"{path}/firings", FiringView, cursor, limit=limit)

        return (yield from self.on_flow(ref, make))


class Schedules(Listing[ScheduleView, CreateSchedule], _Described):
    """Schedules of one project; each is named by id or name."""

    def __init__(self, driver: "Driver", place: Place) -> None:
        super().__init__(driver, SCHEDULE, place)

    def replace(self, ref: Ref, body: CreateSchedule) -> ScheduleView:
        """All of it anew, for the future; from then on it runs with a connection of the caller."""
        return self._driver.run(self._replace(ref, body))

    def pause(self, ref: Ref) -> ScheduleView:
        return self._driver.run(self._deed(ref, "pause"))

    def resume(self, ref: Ref) -> ScheduleView:
        """Fire again from now on. Raises Conflict with what stands against it."""
        return self._driver.run(self._deed(ref, "resume"))

    def fire(self, ref: Ref, body: FireNow = _BY_DEFAULT) -> FiringView:
        """A run now. A lost answer is asked for again and never makes a second run."""
        return self._driver.run(self._fire(ref, body))

    def preview(self, ref: Ref, count: int = 10) -> SchedulePreview:
        """The next firings, and what clock changes do to them."""
        return self._driver.run(self._preview(ref, count))

    def preview_of(
        self, expression: str, zone: str, *, start: str | None = None, end: str | None = None, count: int = 10
    ) -> SchedulePreview:
        """The same for an expression, before anything is saved."""
        return self._driver.run(self._preview_of(expression, zone, start, end, count))

    def history(self, ref: Ref, *, page_size: int = call.PAGE_SIZE) -> Iterator[FiringView]:
        """Newest first; pages are fetched as they are needed."""
        return self._driver.each(lambda cursor: self._history(ref, cursor, page_size))


class AsyncSchedules(AsyncListing[ScheduleView, CreateSchedule], _Described):
    """As `Schedules`."""

    def __init__(self, driver: "AsyncDriver", place: Place) -> None:
        super().__init__(driver, SCHEDULE, place)

    async def replace(self, ref: Ref, body: CreateSchedule) -> ScheduleView:
        return await self._driver.run(self._replace(ref, body))

    async def pause(self, ref: Ref) -> ScheduleView:
        return await self._driver.run(self._deed(ref, "pause"))

    async def resume(self, ref: Ref) -> ScheduleView:
        return await self._driver.run(self._deed(ref, "resume"))

    async def fire(self, ref: Ref, body: FireNow = _BY_DEFAULT) -> FiringView:
        return await self._driver.run(self._fire(ref, body))

    async def preview(self, ref: Ref, count: int = 10) -> SchedulePreview:
        return await self._driver.run(self._preview(ref, count))

    async def preview_of(
        self, expression: str, zone: str, *, start: str | None = None, end: str | None = None, count: int = 10
    ) -> SchedulePreview:
        return await self._driver.run(self._preview_of(expression, zone, start, end, count))

    def history(self, ref: Ref, *, page_size: int = call.PAGE_SIZE) -> AsyncIterator[FiringView]:
        return self._driver.each(lambda cursor: self._history(ref, cursor, page_size))
