"""Which calls are sent again, and when."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.client.flow import Answer, Failure

_BUSY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """`delays`: seconds before the second, third, ... try."""

    delays: Sequence[float] = (0.2, 0.7, 2.0)
    longest: float = 20.0
    """A server that asks for a longer pause (Retry-After) is not asked again."""

    def pause(self, attempt: int, got: Answer | Failure, *, may_repeat: bool) -> float | None:
        """Seconds to wait before try `attempt + 1`; None when `got` is what there is. The first attempt is 0."""
        if attempt >= len(self.delays):
            return None
        usual = self.delays[attempt] * random.uniform(0.8, 1.2)  # noqa: S311  # spreads clients, no secret
        if isinstance(got, Failure):
            return usual if got.kind == "connect" or (got.kind == "lost" and may_repeat) else None
        if got.status not in _BUSY or b'"SITE_PROBLEM"' in got.body:
            return None
        asked = _seconds(got.headers.get("retry-after"))
        if got.status == 429:  # refused, so not done; without Retry-After it is a limit that waiting does not lift
            return None if asked is None or asked > self.longest else max(asked, usual)
        if not may_repeat or (asked is not None and asked > self.longest):
            return None
        return max(asked or 0.0, usual)


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
