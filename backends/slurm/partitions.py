"""`sinfo`: the queues of the site and their limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from backends.slurm.answers import SEPARATOR, number, rows, seconds, unavailable
from backends.slurm.environment import command
from backends.spec import Queue

MIB = 1024 * 1024
_FIELDS = ("%P", "%a", "%l", "%s", "%D", "%c", "%m", "%G")
"""Name with a star for the default, up, time limit, job sizes, nodes, CPUs, MiB, GPUs."""


@dataclass(frozen=True, slots=True)
class Sinfo:
    """One line per queue and kind of node; the kinds of one queue are put together."""

    @property
    def argv(self) -> tuple[str, ...]:
        return command(
            "sinfo", "--noheader", f"--format={SEPARATOR.join(_FIELDS)}", without=("SINFO_PARTITION", "SINFO_ALL")
        )

    def parse(self, code: int, stdout: str, stderr: str) -> tuple[Queue, ...]:
        if code != 0:
            raise unavailable("sinfo", code, stderr)
        queues: dict[str, Queue] = {}
        for cells in rows(stdout, len(_FIELDS)):
            queue = _queue(cells)
            queues[queue.name] = _together(queues[queue.name], queue) if queue.name in queues else queue
        return tuple(queues.values())


def _queue(cells: Sequence[str]) -> Queue:
    name, available, limit, sizes, nodes, cpus, memory, gres = cells
    memory_mib = number(memory)
    return Queue(
        name=name.removesuffix("*"),
        default=name.endswith("*"),
        up=available == "up",
        max_seconds=seconds(limit),
        max_nodes=number(sizes.rpartition("-")[2]),
        total_nodes=number(nodes),
        cpus_per_node=number(cpus),
        memory_per_node=None if memory_mib is None else memory_mib * MIB,
        gpus_per_node=gpus(gres),
    )


def gpus(gres: str) -> int:
    """`gpu:a100:4(S:0-1),gpu:2` -> 6; other kinds do not count."""
    total = 0
    for part in gres.split(","):
        words = part.partition("(")[0].split(":")
        if words[0] == "gpu" and len(words) > 1:
            total += number(words[-1]) or 0
    return total


def _together(one: Queue, other: Queue) -> Queue:
    """The largest node decides what a job may ask for."""
    return Queue(
        name=one.name,
        default=one.default,
        up=one.up,
        max_seconds=one.max_seconds,
        max_nodes=one.max_nodes,
        total_nodes=(one.total_nodes or 0) + (other.total_nodes or 0),
        cpus_per_node=max(one.cpus_per_node or 0, other.cpus_per_node or 0) or None,
        memory_per_node=max(one.memory_per_node or 0, other.memory_per_node or 0) or None,
        gpus_per_node=max(one.gpus_per_node or 0, other.gpus_per_node or 0),
    )
