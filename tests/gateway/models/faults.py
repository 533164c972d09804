"""The way to MLflow, on which a test loses a call, its answer, or the whole gateway."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

API = "/api/2.0/mlflow/"


class Killed(BaseException):
    """The gateway died here: nothing after it happens."""


def _nothing(number: int, call: str) -> None:
    """No fault."""


@dataclass
class FaultyTransport(httpx.AsyncBaseTransport):
    """Counts calls; `before` and `after` may raise, each with the number and the words of the call."""

    inner: httpx.AsyncBaseTransport
    calls: list[str] = field(default_factory=list)
    before: Callable[[int, str], None] = _nothing
    after: Callable[[int, str], None] = _nothing

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = f"{request.method} {request.url.path.removeprefix(API)}"
        self.calls.append(call)
        number = len(self.calls)
        self.before(number, call)
        answer = await self.inner.handle_async_request(request)
        if self.after is _nothing:
            return answer
        await answer.aread()
        self.after(number, call)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def heal(self) -> None:
        self.calls.clear()
        self.before = self.after = _nothing

    def kill(self, number: int, *, answered: bool) -> None:
        """The gateway dies at this call, before it arrives or after it was done."""
        self.heal()

        def die(now: int, call: str) -> None:
            if now == number:
                raise Killed(call)

        if answered:
            self.after = die
        else:
            self.before = die

    def lose(self, wanted: str, *, answered: bool) -> None:
        """Every such call, or its answer, is lost."""
        self.heal()

        def lost(_: int, call: str) -> None:
            if call == wanted:
                raise httpx.ReadError("lost")

        if answered:
            self.after = lost
        else:
            self.before = lost
