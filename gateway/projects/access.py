"""Who may do what in a project: one door for all services."""

from typing import get_args
from uuid import UUID

from sqlalchemy import and_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.errors import Forbidden, NotFound
from gateway.projects.rows import Member, Project
from gateway.schemas.projects import Role
from gateway.users.caller import Caller

_STRONGEST_FIRST: tuple[Role, ...] = get_args(Role)
_MEMBER = and_(Member.project_id == Project.id, Member.user_id == bindparam("user"))
_PROJECT = select(Project, Member.role).join(Member, _MEMBER, isouter=True).where(Project.id == bindparam("project"))
"""Built once: it is asked for nearly every request."""


def at_least(role: Role, least: Role) -> bool:
    return _STRONGEST_FIRST.index(role) <= _STRONGEST_FIRST.index(least)


async def role_of(session: AsyncSession, caller: Caller, project_id: UUID) -> Role | None:
    """The caller's own role; None for a stranger. A run has none: it acts as a guest of its own project only."""
    member = await session.get(Member, (project_id, caller.user_id)) if caller.run_id is None else None
    return _role(caller, project_id, member.role if member is not None else None)


def _role(caller: Caller, project_id: UUID, of_member: str | None) -> Role | None:
    if caller.run_id is not None:
        return "guest" if caller.project_id == project_id else None
    return next((r for r in _STRONGEST_FIRST if r == of_member), None)


async def require(session: AsyncSession, caller: Caller, project_id: UUID, least: Role) -> Project:
    """The project, when the caller has at least this role in it.

    Raises NotFound for those who may not see the project, Forbidden for those whose role is too low. Everybody logged
    in is a guest of a public project. A run token is a guest of its own project and of nothing else.
    """
    found = await session.execute(_PROJECT, {"project": project_id, "user": caller.user_id})
    project, of_member = found.one_or_none() or (None, None)
    role = _role(caller, project_id, of_member)
    if project is not None and role is None and project.public and caller.run_id is None:
        role = "guest"
    if project is None or role is None:
        raise NotFound("There is no such project, or you are not a member of it.")
    if not at_least(role, least):
        raise Forbidden(
            f"This needs the role {least} in project {project.name}; yours is {role}.",
            next_step="Ask an owner of the project." if caller.run_id is None else "A run token may not do this.",
        )
    return project


async def sees_details(session: AsyncSession, caller: Caller, project: Project) -> bool:
    """Whether logs, hosts, accounts and site users show: to members, and to all by the project's second switch."""
    return (project.public_details and project.public) or await role_of(session, caller, project.id) is not None
