"""The two ways to drive a flow: with and without asyncio. Each keeps one connection pool."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

import httpx
from pydantic import BaseModel

from gateway.client.flow import Answer, Failure, Flow, Pause, Send, failure
from gateway.client.session import Session
from gateway.schemas.wire import Page

T = TypeVar("T")
V = TypeVar("V", bound=BaseModel)

_log = logging.getLogger("gateway.client")
_LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=10)
_CONNECT_SECONDS = 10.0
STREAM_SILENCE_SECONDS = 60.0
"""A live stream says something more often than this (the server sends comments); silence is a cut."""


def _request(http: httpx.Client | httpx.AsyncClient, session: Session, send: Send) -> httpx.Request:
    timeout = httpx.Timeout(send.seconds, connect=_CONNECT_SECONDS)
    url = session.api_url + send.path
    params: list[tuple[str, str | int | float | bool | None]] = [*send.query]
    return http.build_request(
        send.method, url, params=params or None, headers=dict(send.headers), content=send.content, timeout=timeout
    )


def _answer(response: httpx.Response, *, streams: bool) -> Answer:
    _log.debug("%s %s: %d", response.request.method, response.url, response.status_code)
    body = b"" if streams else response.content
    stream = response if streams else None
    return Answer(response.status_code, response.headers, body, str(response.url), stream)


def _failed(send: Send, error: httpx.HTTPError) -> Failure:
    _log.debug("%s %s: %s", send.method, send.path, type(error).__name__)
    return failure(error)


class Driver:
    """Drives flows in the calling thread."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._http = httpx.Client(limits=_LIMITS, headers={"User-Agent": "mantik-gateway"})

    def run(self, flow: Flow[T]) -> T:
        """What the flow returns; raises what it raises."""
        got: Answer | Failure | None = None
        try:
            while True:
                step = flow.send(got)
                got = self._send(step) if isinstance(step, Send) else self._pause(step)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            flow.close()

    def each(self, page: Callable[[str | None], Flow[Page[V]]]) -> Iterator[V]:
        """The items of all pages."""
        cursor: str | None = None
        while True:
            got = self.run(page(cursor))
            yield from got.items
            cursor = got.next_cursor
            if cursor is None:
                return

    def close(self) -> None:
        self._http.close()

    @staticmethod
    def _pause(step: Pause) -> None:
        time.sleep(step.seconds)

    def _send(self, send: Send) -> Answer | Failure:
        try:
            response = self._http.send(_request(self._http, self.session, send), stream=True)
            streams = send.stream and response.status_code == httpx.codes.OK
            if not streams:
                try:
                    response.read()
                finally:
                    response.close()
            return _answer(response, streams=streams)
        except httpx.HTTPError as error:
            return _failed(send, error)


class AsyncDriver:
    """Drives flows in the running event loop."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._http = httpx.AsyncClient(limits=_LIMITS, headers={"User-Agent": "mantik-gateway"})

    async def run(self, flow: Flow[T]) -> T:
        """What the flow returns; raises what it raises."""
        got: Answer | Failure | None = None
        try:
            while True:
                step = flow.send(got)
                got = await (self._send(step) if isinstance(step, Send) else self._pause(step))
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            flow.close()

    async def each(self, page: Callable[[str | None], Flow[Page[V]]]) -> AsyncIterator[V]:
        """The items of all pages."""
        cursor: str | None = None
        while True:
            got = await self.run(page(cursor))
            for item in got.items:
                yield item
            cursor = got.next_cursor
            if cursor is None:
                return

    async def close(self) -> None:
        await self._http.aclose()

    @staticmethod
    async def _pause(step: Pause) -> None:
        await asyncio.sleep(step.seconds)

    async def _send(self, send: Send) -> Answer | Failure:
        try:
            response = await self._http.send(_request(self._http, self.session, send), stream=True)
            streams = send.stream and response.status_code == httpx.codes.OK
            if not streams:
                try:
                    await response.aread()
                finally:
                    await response.aclose()
            return _answer(response, streams=streams)
        except httpx.HTTPError as error:
            return _failed(send, error)
