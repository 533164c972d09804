"""The users of the gateway: made, listed and disabled by its admins."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from gateway.client import call
from gateway.client.call import Call
from gateway.client.flow import Flow
from gateway.client.kinds import USER, at
from gateway.client.listings import AsyncListing, Described, Listing
from gateway.client.names import Ref, as_id
from gateway.client.session import Session
from gateway.errors import NotFound
from gateway.schemas.users import CreateUser, UserDetails
from gateway.schemas.wire import Page

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

T = TypeVar("T")
PATH = "/users"


def find_user(session: Session, name: str) -> Flow[UserDetails]:
    """The user of exactly this name. Raises NotFound, for others than admins of a disabled one too."""
    page: Page[UserDetails] = yield from session.perform(call.page(PATH, UserDetails, None, name=name))
    if not page.items:
        raise NotFound(f"There is no user named {name}.", next_step="Give the whole name with which the user logs in.")
    return page.items[0]


def find_user_id(session: Session, ref: Ref) -> Flow[UUID]:
    """An id is believed, and a name is looked up."""
    known = as_id(ref)
    return known if known is not None else (yield from find_user(session, str(ref))).user_id


class _Described(Described[UserDetails, CreateUser]):
    def get_flow(self, ref: Ref) -> Flow[UserDetails]:
        known = as_id(ref)
        if known is None:
            return (yield from find_user(self._session, str(ref)))
        return (yield from self._session.perform(call.get(f"{PATH}/{known}", UserDetails)))

    def on_flow(self, ref: Ref, make: Callable[[str], Call[T]]) -> Flow[T]:
        found = yield from find_user_id(self._session, ref)
        return (yield from self._session.perform(make(f"{PATH}/{found}")))

    def _switch(self, ref: Ref, deed: str) -> Flow[None]:
        def make(path: str) -> Call[None]:
            return Call("POST", f"{path}/{deed}", call.nothing, repeatable=True)

        return (yield from self.on_flow(ref, make))


class Users(Listing[UserDetails, CreateUser], _Described):
    """All users, for admins. Others can `get` a user by the whole name, to make it a member of a project."""

    def __init__(self, driver: "Driver") -> None:
        super().__init__(driver, USER, at(PATH))

    def disable(self, ref: Ref) -> None:
        """Out at once, with every token; live runs go on."""
        self._driver.run(self._switch(ref, "disable"))

    def enable(self, ref: Ref) -> None:
        """May log in again."""
        self._driver.run(self._switch(ref, "enable"))


class AsyncUsers(AsyncListing[UserDetails, CreateUser], _Described):
    """As `Users`."""

    def __init__(self, driver: "AsyncDriver") -> None:
        super().__init__(driver, USER, at(PATH))

    async def disable(self, ref: Ref) -> None:
        await self._driver.run(self._switch(ref, "disable"))

    async def enable(self, ref: Ref) -> None:
        await self._driver.run(self._switch(ref, "enable"))
