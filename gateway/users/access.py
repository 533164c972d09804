"""Who may act outside of projects."""

from uuid import UUID

from gateway.errors import Forbidden, NotFound
from gateway.users.caller import Caller


def require_person(caller: Caller) -> None:
    """A run token opens nothing but what its own project's pages allow."""
    if caller.run_id is not None:
        raise Forbidden("A run token may not do this.", next_step="Log in as a user.")


def require_admin(caller: Caller) -> None:
    require_person(caller)
    if not caller.is_admin:
        raise Forbidden("Only an admin of the gateway may do this.", next_step="Ask your operator.")


def require_self(caller: Caller, user_id: UUID) -> None:
    """Settings are their owner's alone; an admin does not see them either."""
    require_person(caller)
    if caller.user_id != user_id:
        raise NotFound("There is no such user, or these settings are not yours.")
