"""Messages to subscribers: deliveries are made of events, and sent apart from all that runs do."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.db.lease import NamedLease, any_due, claim_named, release_named
from gateway.engine.parts import Parts
from gateway.subscriptions import credentials, mail, outbox, sending
from gateway.subscriptions.telling import prefix_of
from gateway.subscriptions.words import Kind

log = logging.getLogger(__name__)
ROUND_SECONDS = 1.0
PLACES = {prefix_of(Kind.WEBHOOK): 50, prefix_of(Kind.MAIL): mail.AT_ONCE}
"""Subscriptions that are sent to, by the beginning of their leases: mail that is due keeps no webhook waiting. Each has
one try at a time, so that a slow receiver delays only its own."""
AFTER_FAULT_SECONDS = 30.0


@dataclass(slots=True)
class Postman:
    """A round may be repeated and broken off anywhere, by many gateways at once."""

    parts: Parts
    spawn: Callable[[Awaitable[None]], None]
    held: dict[str, NamedLease] = field(default_factory=dict)
    """Subscriptions that this gateway sends to now; the engine keeps these leases."""

    async def round(self) -> bool:
        """Two queries over an index when there is nothing to do; whether there may be more at once."""
        more = await outbox.empty(self.parts.db)
        for lease in await self._claimed():
            self.held[lease.name] = lease
            self.spawn(self._turn(lease))
        return more

    async def _claimed(self) -> list[NamedLease]:
        free = self._free()
        if not free:
            return []
        async with self.parts.db.reading() as session:
            if not await any_due(session, free):
                return []
        owner, seconds = self.parts.owner, self.parts.settings.lease_seconds
        async with self.parts.db.transaction() as session:
            claims = [await claim_named(session, owner, prefix, seconds, count) for prefix, count in free.items()]
        return [lease for claimed in claims for lease in claimed]

    def _free(self) -> dict[str, int]:
        held = {prefix: sum(name.startswith(prefix) for name in self.held) for prefix in PLACES}
        return {prefix: most - held[prefix] for prefix, most in PLACES.items() if held[prefix] < most}

    async def _turn(self, lease: NamedLease) -> None:
        due_in: float | None = AFTER_FAULT_SECONDS
        parts = self.parts
        try:
            due_in = await sending.turn(parts.db, parts.sites.vault, parts.messengers, lease)
        except Exception:
            log.exception("messages of %s could not be sent", lease.name)
        try:
            async with parts.db.transaction() as session:
                await release_named(session, lease, due_in=due_in)
        finally:
            if self.held.get(lease.name) is lease:
                del self.held[lease.name]

    async def sweep(self) -> None:
        """Now and then: credentials that end soon, and deliveries that are old."""
        await credentials.sweep(self.parts.db)
        await sending.forget_old(self.parts.db)
