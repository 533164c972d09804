"""What every part of the engine works with."""

from dataclasses import dataclass, field

from gateway.db.session import Database
from gateway.engine.sites import Sites
from gateway.logs.blobs import BlobStore
from gateway.runs.plan import Planner
from gateway.settings import Settings
from gateway.subscriptions.messengers import Messengers
from gateway.tracking.client import TrackingClient

DAY = 86400.0
LOST_AFTER_DAYS = 14
"""Of a run without a site."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The doors the engine uses, and who it is."""

    owner: str
    settings: Settings
    db: Database
    sites: Sites
    planner: Planner
    blobs: BlobStore
    tracking: TrackingClient
    messengers: Messengers = field(default_factory=Messengers)


def back_off(failures: int, least: float = 2.0, most: float = 300.0) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(most, least * 2 ** min(failures, 16)))
