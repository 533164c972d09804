"""Table of sites: what an operator says once for all users of a site."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class Site(WithId, Base):
    __tablename__ = "sites"
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    """The backend that serves it: local, slurm, ..."""
    host: Mapped[str | None]
    port: Mapped[int | None]
    url: Mapped[str | None]
    host_keys: Mapped[list[Any]] = mapped_column(default=list)
    """Confirmed SSH host keys, as `backends.spec.Site.host_keys`."""
    jump: Mapped[str | None]
    tls_ca: Mapped[str | None]
    verify_tls: Mapped[bool] = mapped_column(default=True)
    work_directory: Mapped[str] = mapped_column(default="$HOME/mantik")
    compute_nodes_reach_gateway: Mapped[str] = mapped_column(default="direct")
    """direct, proxy or no."""
    tracking: Mapped[str] = mapped_column(default="local")
    """local (beside the job, copied by the gateway) or direct (the job asks the gateway)."""
    raw_jobs_allowed: Mapped[bool] = mapped_column(default=True)
    whole_nodes_charged: Mapped[bool] = mapped_column(default=False)
    budget_policy: Mapped[str] = mapped_column(default="unknown")
    budget_command: Mapped[str | None]
    poll_seconds_min: Mapped[float] = mapped_column(default=2.0)
    poll_seconds_max: Mapped[float] = mapped_column(default=60.0)
    lost_after_days: Mapped[int] = mapped_column(default=14)
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Summed over all users: connections, loginsPerMinute, callsPerMinute, preparations."""
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Settings of one kind only."""
    paused_at: Mapped[datetime | None]
