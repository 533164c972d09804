"""The one clock: aware, UTC. Tests replace it; leases use the database's clock instead."""

from collections.abc import Callable
from datetime import UTC, datetime


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system


def now() -> datetime:
    """The current instant, aware and in UTC."""
    return _source()


def use(source: Callable[[], datetime] | None) -> None:
    """Take time from `source`; None goes back to the system's clock. For tests."""
    global _source  # one process, one clock
    _source = source or _system
