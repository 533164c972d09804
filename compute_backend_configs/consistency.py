"""What the keys of a config say together: one site, one environment, numbers that can all be true."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compute_backend_configs.node import Path

SITE_KEYS = ("UnicoreApiUrl", "Firecrest", "SSH", "Local", "Site")


@dataclass(frozen=True)
class Contradiction:
    """Where and what, in the published spelling."""

    path: Path
    message: str
    meant: tuple[str, ...] = ()  # not worth saying when a misspelt key was meant as one of these


def contradictions(config: Mapping[str, object]) -> Iterator[Contradiction]:
    """All contradictions of a config's data; values that are not valid by themselves are passed over."""
    sites = [key for key, value in config.items() if key in SITE_KEYS and (value is not None or key == "Local")]
    wanted = ", ".join(SITE_KEYS)
    if not sites:
        yield Contradiction((), f"names no site; give exactly one of {wanted}", SITE_KEYS)
    elif len(sites) > 1:
        yield Contradiction((sites[1],), f"names more than one site ({', '.join(sites)}); keep exactly one of {wanted}")
    environment = config.get("Environment")
    if isinstance(environment, Mapping) and environment.get("Apptainer") and environment.get("Python"):
        yield Contradiction(("Environment", "Python"), "cannot stand beside Apptainer; keep one of them")
    resources = config.get("Resources")
    if resources is None and "Local" not in sites:
        yield Contradiction(("Resources",), "is missing; it needs at least `Queue`", ("Resources",))
    if isinstance(resources, Mapping):
        if resources.get("Queue") is None and "Local" not in sites:
            message = "is missing; name the queue (partition) to submit to"
            yield Contradiction(("Resources", "Queue"), message, ("Queue",))
        yield from _counts(resources)


def _counts(resources: Mapping[str, object]) -> Iterator[Contradiction]:
    def number(key: str) -> int | None:
        value = resources.get(key)
        text = "" if isinstance(value, bool) else str(value)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0 else None

    nodes, total = number("Nodes"), number("TotalCPUs")
    tasks, cpus, node = number("TasksPerNode"), number("CPUsPerTask"), number("CPUsPerNode")

    def wrong(key: str, message: str) -> Contradiction:
        return Contradiction(("Resources", key), message)

    if node and tasks and cpus:
        if tasks * cpus > node:
            yield wrong(
                "CPUsPerNode",
                f"is {node}, but TasksPerNode {tasks} with CPUsPerTask {cpus} need {tasks * cpus} CPUs on each node",
            )
    elif node and tasks and node % tasks:
        yield wrong("CPUsPerNode", f"is {node}, which cannot be divided among TasksPerNode {tasks}")
    elif node and cpus and node % cpus:
        yield wrong("CPUsPerNode", f"is {node}, which is no multiple of CPUsPerTask {cpus}")
    if not (nodes and total):
        return
    if total < nodes * (tasks or 1):
        what = f"Nodes {nodes}" + (f" with TasksPerNode {tasks}" if tasks else "")
        yield wrong("TotalCPUs", f"is {total}, but {what} need at least {nodes * (tasks or 1)} CPUs")
    elif node and total > nodes * node:
        yield wrong("TotalCPUs", f"is {total}, but Nodes {nodes} with CPUsPerNode {node} have {nodes * node} CPUs")
    elif tasks and cpus and total != nodes * tasks * cpus:
        exact = nodes * tasks * cpus
        yield wrong(
            "TotalCPUs", f"is {total}, but Nodes {nodes}, TasksPerNode {tasks} and CPUsPerTask {cpus} make {exact} CPUs"
        )
