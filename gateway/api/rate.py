"""How many requests a user, or an address without a login, may send per minute."""

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.errors import TooMany

_KEPT = 10_000
"""Subjects remembered; the longest idle ones go first."""


class RateExceeded(TooMany):
    """Too many requests."""

    def __init__(self, seconds: int) -> None:
        super().__init__(next_step=f"Try again in {seconds} s.")
        self.retry_after = seconds


class RateLimit:
    """A bucket per subject: a minute's worth at once, filled again evenly."""

    def __init__(self, per_minute: int, time_source: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._now = time_source
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, subject: str) -> None:
        """Raises RateExceeded when nothing is left."""
        now = self._now()
        left, since = self._buckets.pop(subject, (self._most, now))
        left = min(self._most, left + (now - since) * self._most / 60)
        self._buckets[subject] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._buckets) > _KEPT:
            self._buckets.popitem(last=False)
        if left < 1:
            raise RateExceeded(max(1, round((1 - left) * 60 / self._most)))
