"""A job description against the site's own limits, before it leaves."""

from collections.abc import Mapping
from typing import Any

from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.unicore.site_info import Limit, Partitions

_ANYWHERE = frozenset({"QoS", "Reservation", "NodeConstraints"})
"""A queue that does not list them takes them, too; their values are then the batch system's business."""
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def refuse_beyond(body: Mapping[str, Any], partitions: Partitions) -> None:
    """Nothing is checked that the site does not tell: without `partitions`, nothing at all.

    Raises InvalidJob (INVALID_CONFIG, or BUDGET_REFUSED for the account) with the site's limits in one sentence."""
    wanted = body.get("Resources", {})
    queue = wanted.get("Queue")
    if not partitions or queue is None:
        return
    if queue not in partitions:
        raise _invalid(f"Resources.Queue: the site has no queue {queue!r}. It has: {', '.join(partitions)}.")
    limits = partitions[queue]
    _account(body.get("Project"), queue, limits.get("Project"), partitions)
    for name, value in wanted.items():
        if name == "Queue" or (name in _ANYWHERE and name not in limits):
            continue
        if name not in limits:
            others = [other for other, has in partitions.items() if name in has]
            instead = f" or choose a queue that does: {', '.join(others)}" if others else ""
            raise _invalid(f"Resources.{name}: queue {queue} does not take it. Leave it out{instead}.")
        _range(name, str(value), queue, limits[name])


def _account(project: str | None, queue: str, limit: Limit | None, partitions: Partitions) -> None:
    if project is None or limit is None or project in limit.choices:
        return
    elsewhere = [name for name, has in partitions.items() if project in has.get("Project", Limit()).choices]
    hint = f" {project} is for: {', '.join(elsewhere)}." if elsewhere else ""
    message = f"The compute budget account {project!r} is not allowed in queue {queue}. Allowed there: {limit}.{hint}"
    raise InvalidJob(message, reason=Reason.BUDGET_REFUSED)


def _range(name: str, value: str, queue: str, limit: Limit) -> None:
    if limit.choices and value not in limit.choices:
        raise _invalid(f"Resources.{name}: {value!r} asked, and queue {queue} takes {limit}.")
    number = _number(value)
    if number is None or limit.least is None or limit.most is None or limit.least <= number <= limit.most:
        return
    unit, size = ("", 1)
    if name == "Runtime":
        unit = " seconds"
    elif name == "MemoryPerNode":
        unit, size = " MiB", _UNITS["M"]
    told = f"{-(-limit.least // size)} to {limit.most // size}{unit}"
    raise _invalid(f"Resources.{name}: {number // size}{unit} asked, and queue {queue} takes {told}.")


def _number(value: str) -> int | None:
    digits, unit = (value[:-1], value[-1:]) if value[-1:] in _UNITS else (value, "")
    return int(digits) * _UNITS.get(unit, 1) if digits.isdigit() else None


def _invalid(message: str) -> InvalidJob:
    return InvalidJob(message, reason=Reason.INVALID_CONFIG)
