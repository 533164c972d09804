"""What a run is known to have cost at its end, in place of what it might have cost. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.models.cost import cost_of

NOTHING: Mapping[str, float] = {"core_hours": 0.0, "gpu_hours": 0.0}
"""Of a run that never had a job."""
UNKNOWN: Mapping[str, None] = {"core_hours": None, "gpu_hours": None}
"""Of a run that goes on: its worst case counts."""


def settled(
    usage: Mapping[str, Any],
    hosts: str,
    worst_gpu_hours: float | None,
    started_at: datetime | None,
    ended_at: datetime | None,
) -> dict[str, float | None]:
    """Columns of the run. `usage` and `hosts` as the job has them; None is what the site did not tell."""
    asked = {} if worst_gpu_hours == 0 else {"GPUsPerNode": 1}
    cost = cost_of(usage, hosts, asked, started_at, ended_at)
    if usage.get("elapsed") and cost.elapsed_seconds == 0:
        return dict(NOTHING)
    return {"core_hours": cost.cpu_hours, "gpu_hours": cost.gpu_hours}
