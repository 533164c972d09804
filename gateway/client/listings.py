"""Listings: projects, sites, connections, repositories, members, tokens."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel

from gateway.client import call
from gateway.client.call import Call
from gateway.client.flow import Flow
from gateway.client.names import Kind, Place, Ref, find, find_id
from gateway.client.session import Session
from gateway.schemas.wire import Page

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

V = TypeVar("V", bound=BaseModel)
N = TypeVar("N", bound=BaseModel)
T = TypeVar("T")


class Described(Generic[V, N]):
    """The flows of both kinds of listing; V is what it holds, N the body of a new one."""

    def __init__(self, session: Session, kind: Kind[V], place: Place) -> None:
        self._session, self._kind, self._place = session, kind, place

    def page_flow(self, cursor: str | None) -> Flow[Page[V]]:
        path = yield from self._place()
        return (yield from self._session.perform(call.page(path, self._kind.view, cursor)))

    def get_flow(self, ref: Ref) -> Flow[V]:
        path = yield from self._place()
        return (yield from find(self._session, self._kind, path, ref))

    def create_flow(self, body: N) -> Flow[V]:
        path = yield from self._place()
        return (yield from self._session.perform(call.post(path, self._kind.view, body)))

    def delete_flow(self, ref: Ref) -> Flow[None]:
        yield from self.on_flow(ref, call.delete)

    def on_flow(self, ref: Ref, make: Callable[[str], Call[T]]) -> Flow[T]:
        """A call on the path of one thing."""
        path = yield from self._place()
        found = yield from find_id(self._session, self._kind, path, ref)
        return (yield from self._session.perform(make(f"{path}/{found}")))


class Listing(Described[V, N]):
    """Things of one kind. Each can be named by id or by name."""

    def __init__(self, driver: "Driver", kind: Kind[V], place: Place) -> None:
        super().__init__(driver.session, kind, place)
        self._driver = driver

    def list(self) -> Iterator[V]:
        """All of them; pages are fetched as they are needed."""
        return self._driver.each(self.page_flow)

    def get(self, ref: Ref) -> V:
        """Raises NotFound, and Conflict when several have the name."""
        return self._driver.run(self.get_flow(ref))

    def create(self, body: N) -> V:
        return self._driver.run(self.create_flow(body))

    def delete(self, ref: Ref) -> None:
        self._driver.run(self.delete_flow(ref))


class AsyncListing(Described[V, N]):
    """As `Listing`."""

    def __init__(self, driver: "AsyncDriver", kind: Kind[V], place: Place) -> None:
        super().__init__(driver.session, kind, place)
        self._driver = driver

    def list(self) -> AsyncIterator[V]:
        """All of them; pages are fetched as they are needed."""
        return self._driver.each(self.page_flow)

    async def get(self, ref: Ref) -> V:
        """Raises NotFound, and Conflict when several have the name."""
        return await self._driver.run(self.get_flow(ref))

    async def create(self, body: N) -> V:
        return await self._driver.run(self.create_flow(body))

    async def delete(self, ref: Ref) -> None:
        await self._driver.run(self.delete_flow(ref))
