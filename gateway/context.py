"""All the doors of one gateway process, opened once by `serve` and handed to the API."""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.connections.issuers import TokenIssuers
from gateway.db.session import Database
from gateway.logs.blobs import BlobStore
from gateway.runs.plan import Planner
from gateway.secrets.notification import Told
from gateway.secrets.vault import Vault
from gateway.settings import Settings
from gateway.subscriptions.messengers import Messengers
from gateway.tracking.client import TrackingClient
from gateway.users.passwords import Passwords
from gateway.users.tokens import AccessTokens


class Wakeable(Protocol):
    def wake(self) -> None: ...

    def tell(self, about: Told, authorization: str, body: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """Tests fill it with a database of their own and a tracking client of their choice."""

    settings: Settings
    db: Database
    vault: Vault
    access: AccessTokens
    blobs: BlobStore
    tracking: TrackingClient
    planner: Planner
    issuers: TokenIssuers = field(default_factory=TokenIssuers)
    messengers: Messengers = field(default_factory=Messengers)
    engine: Wakeable | None = None
    """The `gateway.engine.engine.Engine` of this process; None where none runs."""
    passwords: Passwords = field(default_factory=Passwords)

    def wake(self) -> None:
        """Something is due now: the engine looks at once."""
        if self.engine is not None:
            self.engine.wake()

    def tell(self, about: Told, authorization: str, body: bytes) -> None:
        """A site told of a job: the engine looks at it soon."""
        if self.engine is not None:
            self.engine.tell(about, authorization, body)
