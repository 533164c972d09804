"""What the job of a run used, from what the site told of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*s?")
_HOSTS = re.compile(r"[^,\[\]]+(?:\[([^\[\]]+)\])?[^,\[\]]*")
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """None is what nobody knows, never nothing."""

    elapsed_seconds: float | None = None
    nodes: int | None = None
    node_hours: float | None = None
    cpu_hours: float | None = None
    gpu_hours: float | None = None
    billing: float | None = None
    """The site's own measure (Slurm's TRES billing), in its unit per job."""


def cost_of(
    usage: Mapping[str, Any],
    hosts: str,
    resources: Mapping[str, Any],
    started_at: datetime | None,
    ended_at: datetime | None,
) -> Cost:
    """`usage` and `hosts` as the job has them; `resources` as the config asked for them.

    CPUs and GPUs count as the site allotted them. A site that allots and names no GPU to a job that asked for none
    used none."""
    elapsed = _elapsed(str(usage.get("elapsed", "")), started_at, ended_at)
    allotted = _allotted(str(usage.get("alloctres", "")))
    nodes = _whole(allotted.get("node")) or count_hosts(hosts)
    cpu_seconds = _number(usage.get("cputime")) or _times(_whole(allotted.get("cpu")), elapsed)
    gpus = _whole(allotted.get("gres/gpu"))
    if gpus is None and allotted and not resources.get("GPUsPerNode"):
        gpus = 0
    return Cost(
        elapsed_seconds=elapsed,
        nodes=nodes,
        node_hours=_hours(_times(nodes, elapsed)),
        cpu_hours=_hours(cpu_seconds),
        gpu_hours=_hours(_times(gpus, elapsed)),
        billing=_number(allotted.get("billing")),
    )


def count_hosts(text: str) -> int | None:
    """Of a list as Slurm writes it: `a,b`, `n[1-3,7]`; None for none."""
    count = 0
    for found in _HOSTS.finditer(text):
        count += sum(map(_span, found[1].split(","))) if found[1] else 1
    return count or None


def _span(text: str) -> int:
    first, dash, last = text.partition("-")
    return int(last) - int(first) + 1 if dash and first.isdigit() and last.isdigit() else 1


def _elapsed(told: str, started_at: datetime | None, ended_at: datetime | None) -> float | None:
    if (match := _SECONDS.fullmatch(told.strip())) is not None:
        return float(match[1])
    return (ended_at - started_at).total_seconds() if started_at is not None and ended_at is not None else None


def _allotted(text: str) -> dict[str, str]:
    return {name: value for name, equals, value in (part.partition("=") for part in text.split(",")) if equals}


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _number(value: object) -> float | None:
    try:
        return float(str(value)) if value is not None else None
    except ValueError:
        return None


def _times(count: int | None, seconds: float | None) -> float | None:
    return count * seconds if count is not None and seconds is not None else None


def _hours(seconds: float | None) -> float | None:
    return round(seconds / _HOUR, 6) if seconds is not None else None
