"""Members of a project: set by maintainers below their own rank, by owners at any; never without an owner."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.audit.service import record
from gateway.db.session import Database
from gateway.errors import Conflict, Forbidden, NotFound
from gateway.projects.access import at_least, require, role_of
from gateway.projects.rows import Member, Project
from gateway.schemas.projects import MemberView, Role, SetMember
from gateway.schemas.users import UserView
from gateway.users.caller import Caller
from gateway.users.rows import User


async def listing(db: Database, caller: Caller, project_id: UUID) -> list[MemberView]:
    """For members only: who works on a public project is not public."""
    async with db.reading() as session:
        await _require_member(session, caller, project_id)
        found = await session.execute(
            select(Member, User).join(User, User.id == Member.user_id).where(Member.project_id == project_id)
        )
        views = [_view(member, user) for member, user in found]
    return sorted(views, key=lambda v: v.user.name)


async def put(db: Database, caller: Caller, project_id: UUID, user_id: UUID, body: SetMember) -> MemberView:
    """Make the user a member with this role, or change the role. Repeatable."""
    async with db.transaction() as session:
        await _one_at_a_time(session, project_id)
        await require(session, caller, project_id, "maintainer")
        user = await session.get(User, user_id)
        if user is None or user.disabled_at is not None:
            raise NotFound("userId: there is no such user; look it up by its name at GET /users?name=.")
        member = await session.get(Member, (project_id, user_id))
        await _may_set(session, caller, project_id, _role(member), body.role)
        if member is None:
            member = Member(project_id=project_id, user_id=user_id, role=body.role)
            session.add(member)
        elif member.role == "owner" and body.role != "owner":
            await _keep_an_owner(session, project_id)
        member.role = body.role
        record(session, caller, "member.set", "project", project_id, userId=str(user_id), role=body.role)
        return _view(member, user)


async def remove(db: Database, caller: Caller, project_id: UUID, user_id: UUID) -> None:
    """Take a member out; everybody may leave."""
    async with db.transaction() as session:
        await _one_at_a_time(session, project_id)
        await _require_member(session, caller, project_id)
        member = await session.get(Member, (project_id, user_id))
        if caller.run_id is not None or caller.user_id != user_id:
            await require(session, caller, project_id, "maintainer")
            await _may_set(session, caller, project_id, _role(member), "guest")
        if member is None:
            raise NotFound("userId: this user is not a member of the project.")
        if member.role == "owner":
            await _keep_an_owner(session, project_id)
        await session.delete(member)
        record(session, caller, "member.remove", "project", project_id, userId=str(user_id))


async def _one_at_a_time(session: AsyncSession, project_id: UUID) -> None:
    """Two owners who remove each other at once: the second one finds that it is no member any more."""
    await session.execute(select(Project.id).where(Project.id == project_id).with_for_update(key_share=True))


async def _require_member(session: AsyncSession, caller: Caller, project_id: UUID) -> None:
    await require(session, caller, project_id, "guest")
    if caller.run_id is not None or await role_of(session, caller, project_id) is None:
        raise Forbidden("Only members of the project may do this.", next_step="Ask an owner of the project.")


async def _may_set(session: AsyncSession, caller: Caller, project_id: UUID, old: Role | None, new: Role) -> None:
    mine = await role_of(session, caller, project_id)
    high = at_least(new, "maintainer") or (old is not None and at_least(old, "maintainer"))
    if mine != "owner" and high:
        raise Forbidden("role: only an owner may set or take the roles owner and maintainer.")


async def _keep_an_owner(session: AsyncSession, project_id: UUID) -> None:
    statement = select(func.count()).where(Member.project_id == project_id, Member.role == "owner")
    if (await session.scalar(statement) or 0) < 2:
        raise Conflict("A project needs an owner.", next_step="Make somebody else an owner first.")


def _role(member: Member | None) -> Role | None:
    return SetMember.model_validate({"role": member.role}).role if member is not None else None


def _view(member: Member, user: User) -> MemberView:
    role = _role(member)
    assert role is not None  # noqa: S101  # narrows the type: a member has a role
    return MemberView(user=UserView(user_id=user.id, name=user.name), role=role)
