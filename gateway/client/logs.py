"""Following a run's log: what to ask for, what was told, where to go on after a cut."""

import json
from dataclasses import dataclass
from typing import Literal

from httpx_sse import ServerSentEvent

from gateway.client import answers
from gateway.client.call import Call, nothing
from gateway.client.drivers import STREAM_SILENCE_SECONDS
from gateway.client.flow import Answer, Flow, Pause
from gateway.client.session import Session
from gateway.errors import GatewayError, Unavailable

_CUT_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
PATIENCE_SECONDS = 600.0
"""How long the gateway may be out of reach before a follower gives up."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One thing told by a live log.

    `log`: `text` is more of it. `gap`: `skipped` bytes are left out. `generation`: the file was replaced.
    `state`: the run is now `text`. `end`: the run has ended as `text` and its log is complete.
    `position` is where to go on: `<generation>.<offset>`."""

    kind: Literal["log", "gap", "generation", "state", "end"]
    position: str
    text: str = ""
    skipped: int = 0


class Follower:
    """Where one follower of a log stands; it knows nothing of connections."""

    def __init__(self, session: Session, run_path: str, *, since: str | None, tail: int | None) -> None:
        self._session, self._path = session, f"{run_path}/logs"
        self._tail = tail
        self._state = ""
        self._cuts = 0
        self._away = 0.0
        self.position = since or ""
        self.ended = False

    def open(self) -> Flow[Answer]:
        """Open the stream from the present position, waiting while the gateway is out of reach."""
        while True:
            headers = {"Accept": "text/event-stream"}
            if self.position:
                headers["Last-Event-ID"] = self.position
            query = {} if self.position or self._tail is None else {"tail": self._tail}
            seconds = STREAM_SILENCE_SECONDS
            call = Call("GET", self._path, nothing, query, headers=headers, seconds=seconds, stream=True)
            try:
                answer = yield from self._session.open(call)
            except Unavailable:
                if not self.position or self._away >= PATIENCE_SECONDS:
                    raise
                yield from self.cut()
                continue
            if answer.media_type != "text/event-stream" or answer.stream is None:
                raise GatewayError(f"{answer.url} does not tell a live log.", next_step="Check MANTIK_API_URL.")
            return answer

    def cut(self) -> Flow[None]:
        """Wait a little before the stream is opened again. Raises Unavailable when it has been away for too long."""
        seconds = _CUT_SECONDS[min(self._cuts, len(_CUT_SECONDS) - 1)]
        self._cuts += 1
        self._away += seconds
        if self._away >= PATIENCE_SECONDS:
            raise Unavailable("The live log was cut again and again.", next_step="Follow it again later.")
        yield Pause(seconds)

    def take(self, sse: ServerSentEvent) -> LogEvent | None:
        """What an event of the stream says; None for what is of no interest, such as a state told before."""
        self.position = sse.id or self.position
        if sse.event == "beat":
            self._cuts, self._away = 0, 0.0
            return None
        try:
            data = json.loads(sse.data) if sse.data else {}
        except ValueError:
            data = {}
        text, state = str(data.get("text", "")), str(data.get("state", ""))
        if sse.event in ("log", "first"):
            self._cuts, self._away = 0, 0.0
            return LogEvent("log", self.position, text) if text else None
        if sse.event == "gap":
            return LogEvent("gap", self.position, skipped=int(data.get("skipped", 0)))
        if sse.event == "generation":
            return LogEvent("generation", self.position)
        if sse.event == "state" and state != self._state:
            self._state = state
            return LogEvent("state", self.position, state)
        if sse.event == "end":
            self.ended = True
            return LogEvent("end", self.position, state)
        return None


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Bytes of a stored log; `next` is where the bytes after these begin, None at the end of what is stored."""

    data: bytes
    position: str
    next: str | None


def piece(session: Session, run_path: str, position: str = "0.0", tail: int | None = None) -> Flow[LogPiece]:
    """Read a range of the stored log, or its last lines."""
    generation, _, offset = position.partition(".")
    query: dict[str, object] = {"generation": generation, "offset": offset}
    if tail is not None:
        query = {"tail": tail}
    call = Call("GET", f"{run_path}/logs", bytes, query, headers={"Accept": "text/plain"}, seconds=60.0)
    answer = yield from session.open(call)
    data = answers.read(answer, call.read)
    headers = answer.headers
    here = headers.get("x-log-generation", generation)
    start, after = headers.get("x-log-offset", offset), headers.get("x-log-next")
    return LogPiece(data, f"{here}.{start}", f"{here}.{after}" if data and after else None)
