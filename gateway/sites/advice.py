"""What a person should know of a site before a run goes there: what it cannot do, and what it charges."""

from collections.abc import Mapping
from typing import Any

from compute_backend_configs import ComputeBackendConfig, Resources
from gateway.sites.rows import Site


def warnings(site: Site, config: ComputeBackendConfig, last_check: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences for the preview and the run. `last_check`: what the connection's last check kept; empty when none."""
    found = (_unreachable(site, config), _charged(site, config.resources, last_check))
    return tuple(text for text in found if text is not None)


def _unreachable(site: Site, config: ComputeBackendConfig) -> str | None:
    if site.compute_nodes_reach_gateway != "no" or (config.tracking or site.tracking) == "local":
        return None
    return (
        f"Compute nodes of site {site.name} do not reach the gateway: what the code logs to MLflow stays in files of "
        "the run on the site, outputs/mlruns, and does not show in MLflow. With `Tracking: local` it does."
    )


def _charged(site: Site, wanted: Resources, last_check: Mapping[str, Any]) -> str | None:
    if not site.whole_nodes_charged:
        return None
    queue, count = queue_of(wanted, last_check), wanted.nodes or 1
    charges = f"Site {site.name} charges {count} whole node{'s' if count > 1 else ''}"
    asked = (
        (_cpus(wanted), queue.get("cpusPerNode"), "CPUs"),
        (wanted.gpus_per_node, queue.get("gpusPerNode"), "GPUs"),
    )
    parts = [f"{took} of {whole} {noun}" for took, whole, noun in asked if took and whole and took < whole]
    if parts:
        return f"{charges}: the run takes {' and '.join(parts)} of each."
    if any(took and whole is None for took, whole, _ in asked):
        return f"{charges}, also where the run takes a part; how large its nodes are is not known."
    return None


def _cpus(wanted: Resources) -> int | None:
    """CPUs on each node, where the config says so."""
    layout = wanted.layout
    if layout.tasks_per_node is not None or layout.cpus_per_task is not None:
        return (layout.tasks_per_node or 1) * (layout.cpus_per_task or 1)
    if wanted.total_cpus is not None:
        return -(-wanted.total_cpus // (wanted.nodes or 1))
    return None


def queue_of(wanted: Resources, last_check: Mapping[str, Any]) -> Mapping[str, Any]:
    """The queue that is asked for, as the last check of the connection found it; empty where it is not known."""
    queues = (last_check.get("site") or {}).get("queues") or []
    chosen = (q for q in queues if (q["name"] == wanted.queue if wanted.queue else q.get("default")))
    found: Mapping[str, Any] = next(chosen, {})
    return found
