"""How many commands run at once over one connection."""

import asyncio
from collections import deque
from types import TracebackType

AT_MOST = 6
"""sshd allows 10 sessions per connection by default (`MaxSessions`)."""


class Channels:
    """A fair semaphore that shrinks when the server takes fewer channels than we would open."""

    def __init__(self, at_most: int = AT_MOST) -> None:
        self.limit = at_most
        self.in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self.in_use < self.limit and not self._waiting:
            self.in_use += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was handed over while we were being cancelled
                self._give_back()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def refused(self) -> bool:
        """The server refused one more channel. True if others of ours are open: wait for one of them to end."""
        others = self.in_use - 1
        self.limit = max(1, min(self.limit, others))
        return others > 0

    def _give_back(self) -> None:
        self.in_use -= 1
        while self._waiting and self.in_use < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_use += 1
                turn.set_result(None)
