"""Sites and connections: listings with a few calls of their own."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.client import call
from gateway.client.call import Call
from gateway.client.flow import Flow
from gateway.client.kinds import CONNECTION, SITE, at, of_user
from gateway.client.listings import AsyncListing, Described, Listing
from gateway.client.names import Ref
from gateway.schemas.sites import (
    ChangeConnection,
    ConnectionView,
    CreateConnection,
    CreateSite,
    ScannedHostKeys,
    SiteView,
    UpdateCredential,
)

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

_LOGIN_SECONDS = 120.0
"""The gateway logs in at the site meanwhile."""


def _scan(host: str, port: int) -> Call[ScannedHostKeys]:
    return call.post("/sites/scan-host-keys", ScannedHostKeys, seconds=_LOGIN_SECONDS, host=host, port=port)


def _replace(body: CreateSite) -> Callable[[str], Call[SiteView]]:
    return lambda path: Call("PUT", path, SiteView.model_validate_json, body=body, repeatable=True)


class Sites(Listing[SiteView, CreateSite]):
    """The sites of the gateway."""

    def __init__(self, driver: "Driver") -> None:
        super().__init__(driver, SITE, at("/sites"))

    def scan_host_keys(self, host: str, port: int = 22) -> ScannedHostKeys:
        """What the host shows now; compare the fingerprints before they are trusted."""
        return self._driver.run(self._session.perform(_scan(host, port)))

    def replace(self, ref: Ref, body: CreateSite) -> SiteView:
        """Everything of a site anew (admins only)."""
        return self._driver.run(self.on_flow(ref, _replace(body)))


class AsyncSites(AsyncListing[SiteView, CreateSite]):
    """As `Sites`."""

    def __init__(self, driver: "AsyncDriver") -> None:
        super().__init__(driver, SITE, at("/sites"))

    async def scan_host_keys(self, host: str, port: int = 22) -> ScannedHostKeys:
        return await self._driver.run(self._session.perform(_scan(host, port)))

    async def replace(self, ref: Ref, body: CreateSite) -> SiteView:
        return await self._driver.run(self.on_flow(ref, _replace(body)))


class _Described(Described[ConnectionView, CreateConnection]):
    def _create(self, body: CreateConnection, check: bool) -> Flow[ConnectionView]:
        path = yield from self._place()
        wish = str(check).lower()
        made = call.post(path, ConnectionView, body, seconds=_LOGIN_SECONDS, check=wish)
        return (yield from self._session.perform(made))

    def _renew(self, ref: Ref, body: UpdateCredential) -> Flow[ConnectionView]:
        def make(path: str) -> Call[ConnectionView]:
            reader = ConnectionView.model_validate_json
            # A version of the credential per call: sent once.
            return Call("PUT", f"{path}/credential", reader, body=body, repeatable=False, seconds=_LOGIN_SECONDS)

        return (yield from self.on_flow(ref, make))

    def _change(self, ref: Ref, body: ChangeConnection) -> Flow[ConnectionView]:
        def make(path: str) -> Call[ConnectionView]:
            reader = ConnectionView.model_validate_json
            return Call("PUT", path, reader, body=body, repeatable=True, seconds=_LOGIN_SECONDS)

        return (yield from self.on_flow(ref, make))

    def _check(self, ref: Ref) -> Flow[dict[str, Any]]:
        def make(path: str) -> Call[dict[str, Any]]:
            return Call("POST", f"{path}/check", _object, seconds=_LOGIN_SECONDS)

        return (yield from self.on_flow(ref, make))


class Connections(Listing[ConnectionView, CreateConnection], _Described):
    """The caller's own connections."""

    def __init__(self, driver: "Driver") -> None:
        super().__init__(driver, CONNECTION, of_user(driver.session, "/settings/connections"))

    def create(self, body: CreateConnection, *, check: bool = True) -> ConnectionView:
        """With `check` it is tried at once; what was found stands in `last_check`."""
        return self._driver.run(self._create(body, check))

    def change(self, ref: Ref, body: ChangeConnection) -> ConnectionView:
        """All that is not part of the credential, anew; then it is tried."""
        return self._driver.run(self._change(ref, body))

    def set_credential(self, ref: Ref, body: UpdateCredential) -> ConnectionView:
        """A new version of the credential."""
        return self._driver.run(self._renew(ref, body))

    def check(self, ref: Ref) -> dict[str, Any]:
        """Who we are on the site, its queues and accounts. Raises SiteProblem in the site's words."""
        return self._driver.run(self._check(ref))


class AsyncConnections(AsyncListing[ConnectionView, CreateConnection], _Described):
    """As `Connections`."""

    def __init__(self, driver: "AsyncDriver") -> None:
        super().__init__(driver, CONNECTION, of_user(driver.session, "/settings/connections"))

    async def create(self, body: CreateConnection, *, check: bool = True) -> ConnectionView:
        return await self._driver.run(self._create(body, check))

    async def change(self, ref: Ref, body: ChangeConnection) -> ConnectionView:
        return await self._driver.run(self._change(ref, body))

    async def set_credential(self, ref: Ref, body: UpdateCredential) -> ConnectionView:
        return await self._driver.run(self._renew(ref, body))

    async def check(self, ref: Ref) -> dict[str, Any]:
        return await self._driver.run(self._check(ref))


def _object(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    return found if isinstance(found, dict) else {}
