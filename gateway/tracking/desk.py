"""A request at the proxy, what may become of it, and the sending on of what was checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway.db.session import Database
from gateway.tracking import listing, public
from gateway.tracking.client import TrackingClient
from gateway.tracking.gate import Gate
from gateway.tracking.owners import Owners
from gateway.tracking.routes import Match, Rule
from gateway.users.caller import Caller

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that stands in the table."""

    caller: Caller
    match: Match
    query: Pairs
    body: dict[str, Any]

    @property
    def fields(self) -> dict[str, Any]:
        """Of the query for GET, of the body else, as MLflow reads them."""
        return listing.from_pairs(self.query) if self.match.route.method == "GET" else self.body


@dataclass(frozen=True, slots=True)
class Answer:
    """JSON, or the short text of a health check."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Passage:
    """Let the bytes through, both ways."""

    method: str
    path: str
    query: Pairs


class Desk:
    """What the rules work with. `seconds` bounds one call of a user; the client's deadline is for our own calls."""

    def __init__(self, database: Database, client: TrackingClient, seconds: float) -> None:
        self.database = database
        self.client = client
        self.owners = Owners(client)
        self.gate = Gate(database, client, self.owners)
        self._seconds = seconds

    async def call(self, asked: Asked, body: Mapping[str, Any]) -> dict[str, Any]:
        """MLflow's answer to a checked, perhaps changed, body."""
        content = json.dumps(body).encode()
        method, path = asked.match.route.method, quote(asked.match.path)
        answer = await self.client.send(method, path, content=content, seconds=self._seconds)
        return dict(answer.json() if answer.content else {})

    async def forward(self, asked: Asked, hidden: bool = False) -> Answer | Passage:
        """Sends on what was checked and nothing else: the query of a GET, the parsed body of the others."""
        route, path = asked.match.route, quote(asked.match.path)
        if route.streams:
            return Passage(route.method, path, asked.query if route.rule is not Rule.ARTIFACT else [])
        if route.method != "GET":
            return reply(await self.call(asked, asked.body), hidden)
        answer = await self.client.send("GET", path, query=asked.query, seconds=self._seconds)
        return Answer(public.redacted(answer.content) if hidden else answer.content)


def reply(content: Mapping[str, Any], hidden: bool = False) -> Answer:
    """`hidden`: only what is public may be shown."""
    plain = json.dumps(content).encode()
    return Answer(public.redacted(plain) if hidden else plain)
