"""Users: made and disabled by an admin; the first admin is made by the first start."""

import secrets
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from gateway import clock
from gateway.audit.service import record
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.schemas.users import CreateUser, Me, UserDetails
from gateway.schemas.wire import Page
from gateway.users.access import require_admin, require_person
from gateway.users.caller import Caller
from gateway.users.login import LOCAL_ISSUER, end_logins
from gateway.users.passwords import Passwords
from gateway.users.rows import Identity, User


async def me(caller: Caller) -> Me:
    require_person(caller)
    return Me(user_id=caller.user_id, name=caller.name, is_admin=caller.is_admin)


async def create(db: Database, passwords: Passwords, caller: Caller, body: CreateUser) -> UserDetails:
    require_admin(caller)
    password_hash = await passwords.hash(body.password)
    try:
        made = await _add(db, caller, body.name, password_hash, is_admin=body.is_admin)
    except IntegrityError:
        raise Conflict(f"name: there is a user {body.name} already; choose another name.") from None
    return _view(made, caller)


async def listing(db: Database, caller: Caller, name: str | None, cursor: str | None, limit: int) -> Page[UserDetails]:
    """All users for an admin, disabled ones too; for others the one of exactly this name, so that they can make it a
    member."""
    require_person(caller)
    statement = select(User) if caller.is_admin else select(User).where(User.disabled_at.is_(None))
    if name is not None:
        statement = statement.where(User.name == name)
    elif not caller.is_admin:
        raise InvalidInput("name: give the whole name of the user you look for; only an admin may list all users.")
    async with db.reading() as session:
        rows, following = await fetch(session, statement, User, cursor, limit)
    return Page(items=[_view(row, caller) for row in rows], next_cursor=following)


async def show(db: Database, caller: Caller, user_id: UUID) -> UserDetails:
    require_admin(caller)
    async with db.reading() as session:
        row = await session.get(User, user_id)
    if row is None:
        raise NotFound("userId: there is no such user; see GET /users.")
    return _view(row, caller)


async def disable(db: Database, caller: Caller, user_id: UUID) -> None:
    """The user is out at once: tokens, logins and all. Their live runs go on."""
    require_admin(caller)
    if user_id == caller.user_id:
        raise Conflict("You cannot disable yourself.", next_step="Ask another admin.")
    async with db.transaction() as session:
        user = await session.get(User, user_id)
        if user is None:
            raise NotFound("userId: there is no such user; see GET /users.")
        if user.disabled_at is None:
            user.disabled_at = clock.now()
            await end_logins(session, user)
            record(session, caller, "user.disable", "user", user_id)


async def enable(db: Database, caller: Caller, user_id: UUID) -> None:
    """Let a disabled user in again; they have to log in anew."""
    require_admin(caller)
    async with db.transaction() as session:
        user = await session.get(User, user_id)
        if user is None:
            raise NotFound("userId: there is no such user; see GET /users.")
        if user.disabled_at is not None:
            user.disabled_at = None
            record(session, caller, "user.enable", "user", user_id)


async def ensure_first_admin(
    db: Database, passwords: Passwords, name: str, password: str | None = None
) -> tuple[UUID, str] | None:
    """Make the first admin when there is no user at all; the id and the password to print once, else None."""
    async with db.reading() as session:
        if (await session.scalars(select(User.id).limit(1))).one_or_none() is not None:
            return None
    text = password or secrets.token_urlsafe(18)
    password_hash = await passwords.hash(text)
    try:
        made = await _add(db, None, name, password_hash, is_admin=True)
    except IntegrityError:  # another gateway on the same database was faster
        return None
    return made.id, text


def _view(row: User, caller: Caller) -> UserDetails:
    known = {"is_admin": row.is_admin, "disabled_at": row.disabled_at, "created_at": row.created_at}
    shown = known if caller.is_admin else dict.fromkeys(known)
    return UserDetails.model_validate({"user_id": row.id, "name": row.name, **shown})


async def _add(db: Database, caller: Caller | None, name: str, password_hash: str, *, is_admin: bool) -> User:
    async with db.transaction() as session:
        user = User(name=name, is_admin=is_admin)
        session.add(user)
        await session.flush()
        session.add(Identity(user_id=user.id, issuer=LOCAL_ISSUER, subject=name, password_hash=password_hash))
        record(session, caller, "user.create", "user", user.id, name=name, isAdmin=is_admin)
    return user
