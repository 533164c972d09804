"""Errors that a test orders for the next calls of a method."""

from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

When = Literal["before", "after"]
"""`before`: nothing was done. `after`: it was done and the answer got lost."""


class Faults:
    """Orders by method name; each is used once."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """How often each method was called."""
        self._orders: dict[str, deque[tuple[When, Exception]]] = defaultdict(deque)
        self._always: dict[str, Exception] = {}

    def add(self, method: str, error: Exception, *, when: When = "before", times: int = 1) -> None:
        """The next `times` calls of `method` fail with `error`."""
        self._orders[method].extend([(when, error)] * times)

    def always(self, method: str, error: Exception | None) -> None:
        """Every call of `method` fails with `error` and does nothing; None ends it. `*` is every method."""
        if error is None:
            self._always.pop(method, None)
        else:
            self._always[method] = error

    @asynccontextmanager
    async def around(self, method: str) -> AsyncIterator[None]:
        """Surrounds the work of a method."""
        self.calls[method] += 1
        lasting = self._always.get(method) or self._always.get("*")
        if lasting is not None:
            raise lasting
        when, error = self._orders[method].popleft() if self._orders[method] else ("before", None)
        if error is not None and when == "before":
            raise error
        yield
        if error is not None:
            raise error
