"""The largest body of a request, enforced while it streams in."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.problems import problem
from gateway.errors import TooLarge


class BodyLimit:
    """For paths below `prefix`; others, such as artifact uploads, have their own rules."""

    def __init__(self, app: ASGIApp, *, prefix: str, most: int) -> None:
        self._app = app
        self._prefix = prefix
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._most:
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise HTTPException(413)  # the one kind that FastAPI passes on while it reads a body
            return message

        return counted

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = TooLarge(
            f"The request body is too large; the most is {self._most} bytes.",
            next_step="Send less, or ask your operator for a higher limit.",
        )
        await problem(error, scope.get("state", {}).get("request_id", ""))(scope, receive, send)
