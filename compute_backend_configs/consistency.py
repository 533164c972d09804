"""What the keys of a config say together: one site, one environment, numbers that can all be true."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compute_backend_configs.fields import COUNT
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


def number(resources: Mapping[str, object], key: str) -> int | None:
    """The count under a key of `Resources`; None where it is not given, zero or no whole number."""
    value = resources.get(key)
    text = "" if isinstance(value, bool) else str(value)
    return int(text) if COUNT.fullmatch(text) and text != "0" else None


def _counts(resources: Mapping[str, object]) -> Iterator[Contradiction]:
    tasks, cpus, node = (number(resources, key) for key in ("TasksPerNode", "CPUsPerTask", "CPUsPerNode"))
    wrong = None
    if node and tasks and cpus:
        if tasks * cpus > node:
            need = f"TasksPerNode {tasks} with CPUsPerTask {cpus} need {tasks * cpus} CPUs on each node"
            wrong = f"is {node}, but {need}"
    elif node and tasks:
        if node % tasks:
            wrong = f"is {node}, which cannot be divided among TasksPerNode {tasks}"
        cpus = node // tasks
    elif node and cpus:
        if node % cpus:
            wrong = f"is {node}, which is no multiple of CPUsPerTask {cpus}"
        tasks = node // cpus
    if wrong:
        yield Contradiction(("Resources", "CPUsPerNode"), wrong)
    elif wrong := _total(resources, tasks, cpus, node):
        yield Contradiction(("Resources", "TotalCPUs"), wrong)


def _total(resources: Mapping[str, object], tasks: int | None, cpus: int | None, node: int | None) -> str | None:
    """What TotalCPUs contradicts; `tasks` on each node and `cpus` for each are given or follow from `node`."""
    nodes, total = number(resources, "Nodes"), number(resources, "TotalCPUs")
    if not (nodes and total):
        return None
    if node and total > nodes * node:
        return f"is {total}, but Nodes {nodes} with CPUsPerNode {node} have {nodes * node} CPUs"
    if tasks and cpus and total != nodes * tasks * cpus:
        each = f"Nodes {nodes}, {tasks} tasks on each and {cpus} CPUs for each task"
        return f"is {total}, but {each} make {nodes * tasks * cpus} CPUs"
    if total < nodes * (tasks or 1):
        what = f"Nodes {nodes}" + (f" with TasksPerNode {tasks}" if tasks else "")
        return f"is {total}, but {what} need at least {nodes * (tasks or 1)} CPUs"
    return None
