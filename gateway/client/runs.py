"""Runs of one project, for programs with and without asyncio."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import httpx
from httpx_sse import EventSource

from gateway.client import logs
from gateway.client.call import PAGE_SIZE
from gateway.client.logs import PATIENCE_SECONDS, Follower, LogEvent, LogPiece
from gateway.client.names import Place, Ref
from gateway.client.run_flows import RunFilter, RunFlows
from gateway.schemas.runs import EventView, Preview, RunDetails, RunView, SubmitRun, SubmittedRun

if TYPE_CHECKING:
    from gateway.client.drivers import AsyncDriver, Driver

_EVERY = RunFilter()


class Runs:
    """Runs of one project; each is named by its id, or by a name that only one of them has."""

    def __init__(self, driver: "Driver", place: Place) -> None:
        self._driver, self._flows = driver, RunFlows(driver.session, place)

    def submit(self, body: SubmitRun) -> SubmittedRun:
        """Returns when the gateway has stored it. A lost answer is asked for again and never makes a second run."""
        return self._driver.run(self._flows.submit(body))

    def preview(self, body: SubmitRun) -> Preview:
        """Byte for byte what a submit with its `preview_token` sends. Nothing is submitted."""
        return self._driver.run(self._flows.preview(body))

    def list(self, chosen: RunFilter = _EVERY, *, page_size: int = PAGE_SIZE) -> Iterator[RunView]:
        """Newest first; pages are fetched as they are needed."""
        return self._driver.each(lambda cursor: self._flows.page(chosen, cursor, page_size))

    def get(self, run: Ref) -> RunDetails:
        return self._driver.run(self._flows.get(run))

    def events(self, run: Ref) -> Iterator[EventView]:
        """What happened so far, oldest first."""
        return self._driver.each(lambda cursor: self._flows.events(run, cursor))

    def cancel(self, run: Ref) -> RunView:
        """Ask for its end; `wait` tells when there is evidence of it."""
        return self._driver.run(self._flows.cancel(run))

    def delete(self, run: Ref, *, cancel: bool = False, site_directory: bool = False) -> None:
        """Raises Conflict for a live run unless `cancel`."""
        self._driver.run(self._flows.delete(run, cancel, site_directory))

    def wait(
        self,
        run: Ref,
        *,
        timeout: float | None = None,
        on_change: Callable[[RunDetails], None] | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> RunDetails:
        """The run when it has ended. Raises StillLive after `timeout` s, Unavailable after `patience` s of outage."""
        return self._driver.run(self._flows.wait(run, timeout, on_change, patience))

    def read_log(self, run: Ref, *, since: str = "0.0", tail: int | None = None) -> Iterator[LogPiece]:
        """What is stored, from a position on, or its last lines."""
        path = self._driver.run(self._flows.path(run))
        piece = self._driver.run(logs.piece(self._driver.session, path, since, tail))
        yield piece
        while tail is None and piece.next is not None:
            piece = self._driver.run(logs.piece(self._driver.session, path, piece.next))
            yield piece

    def logs(
        self, run: Ref, *, follow: bool = False, since: str | None = None, tail: int | None = None
    ) -> Iterator[LogEvent]:
        """The log, of a large one its first and its last part; with `follow` until the run has ended.

        A stream that was cut is resumed where it stood: nothing is told twice."""
        path = self._driver.run(self._flows.path(run))
        if not follow:
            for piece in self.read_log(run, since=since or "0.0", tail=tail):
                yield LogEvent("log", piece.next or piece.position, piece.data.decode(errors="replace"))
            return
        follower = Follower(self._driver.session, path, since=since, tail=tail)
        while not follower.ended:
            answer = self._driver.run(follower.open())
            stream = answer.stream
            if stream is None:
                return
            try:
                for sse in EventSource(stream).iter_sse():
                    told = follower.take(sse)
                    if told is not None:
                        yield told
            except httpx.HTTPError:
                pass  # a cut: gone on below from the position of the last event
            finally:
                stream.close()
            if not follower.ended:
                self._driver.run(follower.cut())


class AsyncRuns:
    """As `Runs`."""

    def __init__(self, driver: "AsyncDriver", place: Place) -> None:
        self._driver, self._flows = driver, RunFlows(driver.session, place)

    async def submit(self, body: SubmitRun) -> SubmittedRun:
        return await self._driver.run(self._flows.submit(body))

    async def preview(self, body: SubmitRun) -> Preview:
        return await self._driver.run(self._flows.preview(body))

    def list(self, chosen: RunFilter = _EVERY, *, page_size: int = PAGE_SIZE) -> AsyncIterator[RunView]:
        return self._driver.each(lambda cursor: self._flows.page(chosen, cursor, page_size))

    async def get(self, run: Ref) -> RunDetails:
        return await self._driver.run(self._flows.get(run))

    def events(self, run: Ref) -> AsyncIterator[EventView]:
        return self._driver.each(lambda cursor: self._flows.events(run, cursor))

    async def cancel(self, run: Ref) -> RunView:
        return await self._driver.run(self._flows.cancel(run))

    async def delete(self, run: Ref, *, cancel: bool = False, site_directory: bool = False) -> None:
        await self._driver.run(self._flows.delete(run, cancel, site_directory))

    async def wait(
        self,
        run: Ref,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # as `Runs.wait`
        on_change: Callable[[RunDetails], None] | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> RunDetails:
        return await self._driver.run(self._flows.wait(run, timeout, on_change, patience))

    async def read_log(self, run: Ref, *, since: str = "0.0", tail: int | None = None) -> AsyncIterator[LogPiece]:
        path = await self._driver.run(self._flows.path(run))
        piece = await self._driver.run(logs.piece(self._driver.session, path, since, tail))
        yield piece
        while tail is None and piece.next is not None:
            piece = await self._driver.run(logs.piece(self._driver.session, path, piece.next))
            yield piece

    async def logs(
        self, run: Ref, *, follow: bool = False, since: str | None = None, tail: int | None = None
    ) -> AsyncIterator[LogEvent]:
        path = await self._driver.run(self._flows.path(run))
        if not follow:
            async for piece in self.read_log(run, since=since or "0.0", tail=tail):
                yield LogEvent("log", piece.next or piece.position, piece.data.decode(errors="replace"))
            return
        follower = Follower(self._driver.session, path, since=since, tail=tail)
        while not follower.ended:
            answer = await self._driver.run(follower.open())
            stream = answer.stream
            if stream is None:
                return
            try:
                async for sse in EventSource(stream).aiter_sse():
                    told = follower.take(sse)
                    if told is not None:
                        yield told
            except httpx.HTTPError:
                pass  # a cut: gone on below from the position of the last event
            finally:
                await stream.aclose()
            if not follower.ended:
                await self._driver.run(follower.cut())
