"""Members of a project and their roles."""

from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import TypeAdapter

from gateway.client import call
from gateway.client.call import Call
from gateway.client.flow import Flow
from gateway.client.names import Place, Ref, as_id
from gateway.client.users import find_user_id
from gateway.errors import NotFound
from gateway.schemas.projects import MemberView, Role, SetMember

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

_ALL = TypeAdapter(list[MemberView])


class _Flows:
    def __init__(self, driver: "Driver | AsyncDriver", place: Place) -> None:
        self._session, self._place = driver.session, place

    def _list(self) -> Flow[list[MemberView]]:
        path = yield from self._place()
        return (yield from self._session.perform(Call("GET", path, _ALL.validate_json)))

    def _set(self, user: Ref, role: Role) -> Flow[MemberView]:
        path = yield from self._place()
        found = yield from find_user_id(self._session, user)
        return (yield from self._session.perform(call.put(f"{path}/{found}", MemberView, SetMember(role=role))))

    def _remove(self, user: Ref) -> Flow[None]:
        path = yield from self._place()
        found = as_id(user) or (yield from self._member_id(str(user)))
        yield from self._session.perform(call.delete(f"{path}/{found}"))

    def _member_id(self, name: str) -> Flow[UUID]:
        """Of a disabled user too, whom only an admin could look up among all users."""
        for member in (yield from self._list()):
            if member.user.name == name:
                return member.user.user_id
        raise NotFound(f"{name} is not a member of the project.", next_step="To see them: mantik projects members list")


class Members(_Flows):
    """A user is named by id or by the whole name."""

    def __init__(self, driver: "Driver", place: Place) -> None:
        super().__init__(driver, place)
        self._driver = driver

    def list(self) -> list[MemberView]:
        """All of them, by name."""
        return self._driver.run(self._list())

    def set(self, user: Ref, role: Role) -> MemberView:
        """Make a user a member with this role, or change the role."""
        return self._driver.run(self._set(user, role))

    def remove(self, user: Ref) -> None:
        """Take a member out; runs that are live go on."""
        self._driver.run(self._remove(user))


class AsyncMembers(_Flows):
    """As `Members`."""

    def __init__(self, driver: "AsyncDriver", place: Place) -> None:
        super().__init__(driver, place)
        self._driver = driver

    async def list(self) -> list[MemberView]:
        return await self._driver.run(self._list())

    async def set(self, user: Ref, role: Role) -> MemberView:
        return await self._driver.run(self._set(user, role))

    async def remove(self, user: Ref) -> None:
        await self._driver.run(self._remove(user))
