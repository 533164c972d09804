"""Personal API tokens, for scripts; each may be used in place of the password."""

from typing import TYPE_CHECKING

from gateway.client import call
from gateway.client.flow import Flow
from gateway.client.kinds import TOKEN, at
from gateway.client.listings import AsyncListing, Described, Listing
from gateway.schemas.users import ApiTokenView, CreateApiToken, NewApiToken

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

_PATH = "/users/me/tokens"


class _Described(Described[ApiTokenView, CreateApiToken]):
    def _make(self, body: CreateApiToken) -> Flow[NewApiToken]:
        return (yield from self._session.perform(call.post(_PATH, NewApiToken, body)))


class ApiTokens(Listing[ApiTokenView, CreateApiToken], _Described):
    """The caller's own tokens; a token itself is shown only by `create`."""

    def __init__(self, driver: "Driver") -> None:
        super().__init__(driver, TOKEN, at(_PATH))

    def create(self, body: CreateApiToken) -> NewApiToken:
        return self._driver.run(self._make(body))


class AsyncApiTokens(AsyncListing[ApiTokenView, CreateApiToken], _Described):
    """As `ApiTokens`."""

    def __init__(self, driver: "AsyncDriver") -> None:
        super().__init__(driver, TOKEN, at(_PATH))

    async def create(self, body: CreateApiToken) -> NewApiToken:
        return await self._driver.run(self._make(body))
