"""Writing the audit, in the transaction of the act."""

from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.rows import AuditEntry
from gateway.users.caller import Caller

Detail = str | int | float | bool | None | list[str]


def record(
    session: AsyncSession, caller: Caller | None, action: str, object_type: str, object_id: object, **details: Detail
) -> None:
    """Add an entry; `caller` None is the gateway itself. `details` never hold a secret."""
    session.add(
        AuditEntry(
            time=clock.now(),
            actor_id=caller.user_id if caller else None,
            token_id=caller.token_id if caller else None,
            action=action,
            object_type=object_type,
            object_id=str(object_id),
            request_id=caller.request_id if caller else "",
            details={**details, "runId": str(caller.run_id)} if caller and caller.run_id else dict(details),
        )
    )
