"""A request against the site's real limits, as the last check of the connection found them."""

from collections.abc import Mapping
from typing import Any

from backends.reasons import Reason
from compute_backend_configs import ComputeBackendConfig

Refusal = tuple[Reason, str]


def check_limits(config: ComputeBackendConfig, account: str | None, last_check: Mapping[str, Any]) -> Refusal | None:
    """Why the site would never run this, or None. What the site did not tell is not checked.

    `last_check` is a SiteInfo as JSON, camelCase or not, under `site` or at the top."""
    info = last_check.get("site") or last_check.get("info") or last_check
    return _check_account(account, info.get("accounts") or []) or _check_queue(config, info.get("queues") or [])


def _check_account(account: str | None, accounts: list[Mapping[str, Any]]) -> Refusal | None:
    names = sorted({str(a["name"]) for a in accounts})
    if not names or account is None or account in names:
        return None
    return (
        Reason.BUDGET_REFUSED,
        f"computeBudgetAccount: you may not bill {account!r} there. Yours: {', '.join(names)}.",
    )


def _check_queue(config: ComputeBackendConfig, queues: list[Mapping[str, Any]]) -> Refusal | None:
    name = config.resources.queue if config.resources else None
    if not queues or name is None:
        return None
    queue = next((q for q in queues if q["name"] == name), None)
    if queue is None:
        known = ", ".join(str(q["name"]) for q in queues)
        return Reason.INVALID_CONFIG, f"Resources.Queue: the site has no queue {name!r}. It has: {known}."
    for field, asked, most in _asked(config, queue):
        if asked is not None and most is not None and asked > most:
            return Reason.INVALID_CONFIG, f"Resources.{field}: {asked} asked, and queue {name} has at most {most}."
    return None


def _asked(config: ComputeBackendConfig, queue: Mapping[str, Any]) -> list[tuple[str, int | None, int | None]]:
    wanted = config.resources
    nodes = [n for n in (_limit(queue, "max_nodes"), _limit(queue, "total_nodes")) if n is not None]
    seconds = int(wanted.runtime.seconds) if wanted.runtime is not None else None
    memory = int(wanted.memory_per_node.mebibytes) if wanted.memory_per_node is not None else None
    most_memory = _limit(queue, "memory_per_node")
    return [
        ("Nodes", wanted.nodes, min(nodes) if nodes else None),
        ("Runtime (seconds)", seconds, _limit(queue, "max_seconds")),
        ("CPUsPerNode", wanted.cpus_per_node, _limit(queue, "cpus_per_node")),
        ("GPUsPerNode", wanted.gpus_per_node, _limit(queue, "gpus_per_node")),
        ("MemoryPerNode (MiB)", memory, most_memory // 2**20 if most_memory is not None else None),
    ]


def _limit(queue: Mapping[str, Any], name: str) -> int | None:
    head, *rest = name.split("_")
    value = queue.get(name, queue.get(head + "".join(w.title() for w in rest)))
    return int(value) if value is not None else None
