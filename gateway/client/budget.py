"""The budget guard of one project, for programs with and without asyncio."""

from typing import TYPE_CHECKING

from gateway.client import call
from gateway.client.flow import Flow
from gateway.client.names import Place
from gateway.schemas.budgets import BudgetView, SetBudget

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver


class _Flows:
    def __init__(self, driver: "Driver | AsyncDriver", place: Place) -> None:
        self._session, self._place = driver.session, place

    def _get(self) -> Flow[BudgetView]:
        path = yield from self._place()
        return (yield from self._session.perform(call.get(path, BudgetView)))

    def _set(self, body: SetBudget) -> Flow[BudgetView]:
        path = yield from self._place()
        return (yield from self._session.perform(call.put(path, BudgetView, body)))


class Budget(_Flows):
    """What the runs of a project may cost, and what they come to this month."""

    def __init__(self, driver: "Driver", place: Place) -> None:
        super().__init__(driver, place)
        self._driver = driver

    def get(self) -> BudgetView:
        """The guard, its caps, and the sums of this month."""
        return self._driver.run(self._get())

    def set(self, body: SetBudget) -> BudgetView:
        """Replace guard and caps whole (maintainers). Runs that were accepted go on."""
        return self._driver.run(self._set(body))


class AsyncBudget(_Flows):
    """As `Budget`."""

    def __init__(self, driver: "AsyncDriver", place: Place) -> None:
        super().__init__(driver, place)
        self._driver = driver

    async def get(self) -> BudgetView:
        return await self._driver.run(self._get())

    async def set(self, body: SetBudget) -> BudgetView:
        return await self._driver.run(self._set(body))
