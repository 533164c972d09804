"""What a run may cost at most: nodes x CPUs on each x time limit, as its config asks the site for them. Pure.

A core-hour is one CPU, as the site counts them, for one hour; a GPU-hour one GPU for one hour. A job that the site
starts anew after a requeue may cost more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from compute_backend_configs import ComputeBackendConfig, Resources
from gateway.sites.advice import queue_of
from gateway.sites.rows import Site

NODES, CPUS, RUNTIME = "Resources.Nodes", "Resources.CPUsPerNode", "Resources.Runtime"
NODE_SIZE = "nodeSize"
"""No field of the config: how many CPUs the nodes of the queue have, where the site charges whole nodes."""
CONFIG = "backendConfig"
"""The config is a file of the repository, and was not read yet."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Hours, or what would have to be known to say them."""

    hours: float | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorstCase:
    """What one run may cost at most."""

    core: Figure
    gpu: Figure

    @property
    def missing(self) -> tuple[str, ...]:
        """What would have to be known, each once."""
        return tuple(dict.fromkeys((*self.core.missing, *self.gpu.missing)))

    @property
    def columns(self) -> dict[str, float | None]:
        """As the row of a run has it."""
        return {"worst_core_hours": self.core.hours, "worst_gpu_hours": self.gpu.hours}


UNREAD = WorstCase(Figure(None, (CONFIG,)), Figure(None, (CONFIG,)))


def stored(core_hours: float | None, gpu_hours: float | None) -> WorstCase:
    """From the columns of a run."""
    return WorstCase(Figure(core_hours), Figure(gpu_hours))


def worst_case(config: ComputeBackendConfig, site: Site, last_check: Mapping[str, Any]) -> WorstCase:
    """What the config leaves to the site is not known. A config that asks for no GPU gets none, unless the site charges
    whole nodes, whose size is taken from the last check of the connection."""
    wanted = config.resources
    queue = queue_of(wanted, last_check) if site.whole_nodes_charged else None
    return WorstCase(_figure(_cpus(wanted, queue), wanted), _figure(_gpus(wanted, queue), wanted))


@dataclass(frozen=True, slots=True)
class _Count:
    number: int | None
    missing: tuple[str, ...] = ()


def _figure(count: _Count, wanted: Resources) -> Figure:
    if count.number == 0:
        return Figure(0.0)
    minutes = ceil(wanted.runtime.seconds / 60) if wanted.runtime is not None else 0
    missing = count.missing if minutes else (*count.missing, RUNTIME)
    if count.number is None or not minutes:
        return Figure(None, missing)
    return Figure(round(count.number * minutes / 60, 6))


def _cpus(wanted: Resources, queue: Mapping[str, Any] | None) -> _Count:
    if queue is not None:
        return _on_nodes(wanted, queue.get("cpusPerNode"), NODE_SIZE)
    if wanted.total_cpus is not None:
        return _Count(wanted.total_cpus)
    tasks, each = wanted.layout.tasks_per_node, wanted.layout.cpus_per_task
    return _on_nodes(wanted, None if tasks is None and each is None else (tasks or 1) * (each or 1), CPUS)


def _gpus(wanted: Resources, queue: Mapping[str, Any] | None) -> _Count:
    each = max(wanted.gpus_per_node or 0, (queue or {}).get("gpusPerNode") or 0)
    return _on_nodes(wanted, each, "") if each else _Count(0)


def _on_nodes(wanted: Resources, each: int | None, field: str) -> _Count:
    if wanted.nodes is not None and each is not None:
        return _Count(wanted.nodes * each)
    missing = ((NODES, wanted.nodes), (field, each))
    return _Count(None, tuple(name for name, value in missing if value is None))
