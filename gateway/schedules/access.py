"""Who may see and change schedules, and which connection somebody may give one."""

import uuid
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from compute_backend_configs import parse_config_data
from gateway.connections.rows import Connection
from gateway.errors import Forbidden, InvalidInput, NotFound
from gateway.projects.access import at_least, require, role_of, sees_details
from gateway.runs.plan import PlanRefused, check_site
from gateway.runs.rows import Manifest, Run
from gateway.schedules.repeat import is_free, pinned
from gateway.schedules.rows import Schedule
from gateway.schedules.standing import account_problem, may_run_here
from gateway.settings import Settings
from gateway.sites.rows import Site
from gateway.sites.service import backend_site
from gateway.users.caller import Caller

NO_SCHEDULE = "This project has no such schedule."


async def may_see(session: AsyncSession, caller: Caller, project_id: uuid.UUID) -> None:
    """Members; others where the project shows its details."""
    if not await sees_details(session, caller, await require(session, caller, project_id, "guest")):
        raise Forbidden("Schedules of this project are for its members.")


async def load(session: AsyncSession, project_id: uuid.UUID, schedule_id: uuid.UUID, *, lock: bool = False) -> Schedule:
    """A schedule of the project that was not deleted. Raises NotFound. A locked one fires only after this."""
    query = select(Schedule).where(
        Schedule.id == schedule_id, Schedule.project_id == project_id, Schedule.deleted_at.is_(None)
    )
    found: Schedule | None = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound(NO_SCHEDULE, next_step="See `mantik schedules list`.")
    return found


async def may_stop(session: AsyncSession, caller: Caller, schedule: Schedule) -> None:
    """Who made it, whose connection it uses, and maintainers."""
    await require(session, caller, schedule.project_id, "researcher")
    if caller.user_id in (schedule.created_by, schedule.run_as):
        return
    role = await role_of(session, caller, schedule.project_id)
    if role is None or not at_least(role, "maintainer"):
        raise Forbidden("This is another's schedule.", next_step="A maintainer of the project may do this.")


async def the_run(session: AsyncSession, project_id: uuid.UUID, run_id: uuid.UUID, *, follow: bool) -> Run:
    """The run to repeat. Raises InvalidInput."""
    run = await session.get(Run, run_id)
    if run is None or run.project_id != project_id or run.deleted_at is not None or run.delete_requested_at is not None:
        raise InvalidInput("runId: this project has no such run; see `mantik runs list`.")
    if run.origin != "submitted":
        raise InvalidInput("runId: this run was executed elsewhere. Give one that the gateway submitted.")
    if follow and run.branch is None:
        raise InvalidInput("followBranch: the run was submitted by a commit and has no branch. Leave it out.")
    if not follow and pinned(run) is None:
        raise InvalidInput("runId: the run has no commit yet. Wait until it is prepared, or give followBranch.")
    return run


async def own_connection(
    session: AsyncSession, settings: Settings, caller: Caller, run: Run, connection_id: uuid.UUID | None
) -> Connection:
    """The caller's own connection, for the site that the run's config names. Raises InvalidInput, Forbidden."""
    connection = await session.get(Connection, connection_id or run.connection_id)
    if connection is None or not is_free(connection, caller.user_id):
        if connection_id is None:
            raise InvalidInput(
                "connectionId: is required, because the run used a connection that is not yours or was dropped; see "
                "`mantik connections list`."
            )
        raise InvalidInput(
            "connectionId: you have no such connection for a site; see `mantik connections list`. Another's cannot be "
            "used."
        )
    site = await session.get(Site, connection.site_id)
    if site is None:
        raise InvalidInput("connectionId: its site is gone. Give another connection.")
    if site.kind == "local" and not may_run_here(settings, is_admin=caller.is_admin):
        raise Forbidden("Runs on the gateway's own machine are for its admin.", next_step="Use another connection.")
    if connection.site_id != run.site_id:
        await _check_site(session, run, site)
    return connection


async def _check_site(session: AsyncSession, run: Run, site: Site) -> None:
    manifest = await session.get(Manifest, run.id)
    config: dict[str, Any] | None = manifest.config if manifest is not None else None
    if config is None:
        return
    try:
        check_site(parse_config_data(config, name="config").config, backend_site(site))
    except PlanRefused as error:
        raise InvalidInput(f"connectionId: {error.message}") from None


def check_account(account: str | None, connection: Connection) -> None:
    """Raises InvalidInput when the site told that this account is not the owner's."""
    if (text := account_problem(account, connection.last_check)) is not None:
        raise InvalidInput(text)
