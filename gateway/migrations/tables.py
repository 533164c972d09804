"""Every table of the gateway, imported in one place so that `Base.metadata` is whole."""

import gateway.audit.rows
import gateway.budgets.rows
import gateway.connections.rows
import gateway.db.lease
import gateway.logs.rows
import gateway.models.rows
import gateway.projects.rows
import gateway.repositories.rows
import gateway.retention.rows
import gateway.runs.rows
import gateway.schedules.rows
import gateway.secrets.rows
import gateway.sites.rows
import gateway.subscriptions.rows
import gateway.tracking.rows
import gateway.users.rows  # noqa: F401
from gateway.db.base import Base

METADATA = Base.metadata
