"""Server-sent events of a run: its log and its events, both resumable by Last-Event-ID."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from gateway.context import Context
from gateway.db.session import Database
from gateway.errors import GatewayError, TooMany
from gateway.logs.blobs import BlobStore
from gateway.logs.follow import follow
from gateway.logs.service import Position
from gateway.runs import service
from gateway.runs.states import FINAL
from gateway.users.caller import Caller

STEP_SECONDS = 0.5
BATCH = 100
RECHECK_SECONDS = 15.0
"""A follower is told nothing past this time without another look at who they are and what they may see."""
MOST_STREAMS = 20
"""Streams of one user at a time."""

Told = AsyncGenerator[dict[str, str], None]


class Followers:
    """How many streams each user has open."""

    def __init__(self) -> None:
        self._open: Counter[uuid.UUID] = Counter()

    def check(self, user_id: uuid.UUID) -> None:
        """Raises TooMany."""
        if self._open[user_id] >= MOST_STREAMS:
            raise TooMany(f"You follow {MOST_STREAMS} runs already.", next_step="Stop following one of them.")

    async def watched(self, user_id: uuid.UUID, told: Told, may: Callable[[], Awaitable[object]]) -> Told:
        """The stream, as long as `may` raises no GatewayError; it just ends then, and the next request says why."""
        try:
            self.check(user_id)
        except TooMany:
            return
        self._open[user_id] += 1
        checked = time.monotonic()
        try:
            async with aclosing(told):
                async for one in told:
                    if time.monotonic() - checked >= RECHECK_SECONDS:
                        await may()
                        checked = time.monotonic()
                    yield one
        except GatewayError:
            return
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]


def _one_line(document: str) -> str:
    """JSON without the characters at which many readers of lines (`str.splitlines`) would cut it besides LF and CR."""
    return document.translate({0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"})


async def log_stream(db: Database, blobs: BlobStore, run_id: uuid.UUID, start: Position | None) -> Told:
    """Events `log`, `gap`, `generation`, `state`, `beat` and at last `end`; the id is where to go on."""
    async for told in follow(db, blobs, run_id, start):
        data: dict[str, object] = {"generation": told.at.generation, "offset": told.at.offset}
        if told.event == "log":
            data["text"] = told.text
        elif told.event == "gap":
            data["skipped"] = told.skipped
        elif told.event in ("state", "end"):
            data["state"] = told.text
        yield {"event": told.event, "id": str(told.at), "data": _one_line(json.dumps(data, ensure_ascii=False))}


async def event_stream(context: Context, caller: Caller, project_id: uuid.UUID, run_id: uuid.UUID, after: int) -> Told:
    """The run's events as they come; ends when the run has ended and all were told."""
    while True:
        state = await service.may_read_log(context.db, caller, project_id, run_id)
        found = await service.list_events(context.db, caller, project_id, run_id, after, BATCH)
        for view in found:
            after = view.event_id
            yield {"event": view.kind, "id": str(after), "data": _one_line(view.model_dump_json(by_alias=True))}
        if found:
            continue
        if state in FINAL:
            yield {"event": "end", "id": str(after), "data": json.dumps({"state": state})}
            return
        await asyncio.sleep(STEP_SECONDS)
