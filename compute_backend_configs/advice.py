"""Warnings about values that are valid and may not mean what their author thinks."""

from collections.abc import Iterator

from compute_backend_configs import duration, memory
from compute_backend_configs.consistency import number
from compute_backend_configs.node import Node
from compute_backend_configs.problems import ConfigProblem


def advice(root: Node) -> Iterator[ConfigProblem]:
    yield from _empty(root)
    resources = root.value.get("Resources") if isinstance(root.value, dict) else None
    asked = resources.value if resources else None
    if not isinstance(asked, dict):
        return
    runtime, size, cpus = asked.get("Runtime"), asked.get("MemoryPerNode"), asked.get("CPUsPerNode")
    if runtime and _is_scalar(runtime) and duration.is_bare(runtime.value):
        message = f"{runtime.value} is read as {runtime.value} seconds, as UNICORE does; write {runtime.value}s"
        yield _warning(runtime, f"{message}, or {runtime.value}m for minutes")
    if size and _is_scalar(size) and memory.is_bare(size.value):
        message = f"{size.value} is read as {size.value} MiB, NOT gigabytes, as the published client does"
        yield _warning(size, f"{message}; write {size.value}M, or {size.value}G for gigabytes")
    if cpus and _is_scalar(cpus) and all(key not in asked for key in ("TasksPerNode", "CPUsPerTask")):
        also = "" if _sets_srun(root) else f" and sets SRUN_CPUS_PER_TASK to {cpus.value}"
        message = f"without TasksPerNode and CPUsPerTask this starts {cpus.value} tasks on each node{also}"
        yield _warning(cpus, f"{message}, as the published client does; write TasksPerNode and CPUsPerTask")
        if unused := _unused(asked):
            yield _warning(asked["TotalCPUs"], unused)


def _unused(asked: dict[str, Node]) -> str | None:
    """What TotalCPUs leaves of the CPUs of the nodes, where CPUsPerNode alone makes it an upper bound."""
    counts = {key: node.value for key, node in asked.items()}
    nodes, node, total = (number(counts, key) for key in ("Nodes", "CPUsPerNode", "TotalCPUs"))
    if not (nodes and node and total) or total >= nodes * node:
        return None
    return f"is {total}, fewer than the {nodes * node} of Nodes {nodes} with CPUsPerNode {node}; make them agree"


def _empty(node: Node) -> Iterator[ConfigProblem]:
    """Keys without a value; those of Variables are errors already, and `Local` has none."""
    if not isinstance(node.value, dict) or node.path == ("Environment", "Variables"):
        return
    for child in node.value.values():
        if child.value is None and child.path != ("Local",):
            yield _warning(child, "has no value, so it counts as not given; give it one or remove the key")
        yield from _empty(child)


def _sets_srun(root: Node) -> bool:
    path = ("Environment", "Variables", "SRUN_CPUS_PER_TASK")
    return root.find(path) is not root.find(path[:-1])


def _is_scalar(node: Node) -> bool:
    return isinstance(node.value, str | int) and not isinstance(node.value, bool)


def _warning(node: Node, message: str) -> ConfigProblem:
    return node.problem(message, given=None if node.value is None else str(node.value)[:80], severity="warning")
