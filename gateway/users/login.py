"""Logging in: a password or a personal API token gives an access token and a refresh token."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record
from gateway.db.session import Database
from gateway.errors import Unauthenticated
from gateway.schemas.users import CreateTokens, RefreshTokens, Tokens
from gateway.users import throttle
from gateway.users.api_tokens import counts, user_of_api_token
from gateway.users.caller import Caller
from gateway.users.passwords import Passwords
from gateway.users.rows import ApiToken, Identity, RefreshToken, User
from gateway.users.tokens import (
    API_PREFIX,
    REFRESH_LIFETIME,
    REFRESH_PREFIX,
    AccessTokens,
    hash_token,
    new_token,
)

LOCAL_ISSUER = "local"
_WRONG = "The user name or the password is wrong."


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is not logged in yet."""

    address: str
    request_id: str = ""


async def create_tokens(
    db: Database, access: AccessTokens, passwords: Passwords, visitor: Visitor, body: CreateTokens
) -> Tokens:
    """A login by an API token is worth what the token is, and ends with it.

    Raises Unauthenticated, the same for an unknown name and a wrong password; TooMany when throttled."""
    used: ApiToken | None = None
    if body.password.startswith(API_PREFIX):
        user, used = await _by_api_token(db, visitor, body)
    else:
        user = await _by_password(db, passwords, visitor, body)
    used_id = used.id if used else None
    token, ends = access.issue(user.id, used_id)
    refresh, until = new_token(REFRESH_PREFIX), clock.now() + REFRESH_LIFETIME
    if used is not None and used.expires_at is not None:
        until = min(until, used.expires_at)
    async with db.transaction() as session:
        row = RefreshToken(user_id=user.id, api_token_id=used_id, token_hash=hash_token(refresh), expires_at=until)
        session.add(row)
        caller = Caller(user.id, user.name, token_id=used_id, request_id=visitor.request_id)
        record(session, caller, "login", "user", user.id)
    return Tokens(access_token=token, refresh_token=refresh, expires_at=ends)


async def refresh_tokens(db: Database, access: AccessTokens, body: RefreshTokens) -> Tokens:
    """A new access token. The texts of its errors are what the published client looks for."""
    async with db.reading() as session:
        found = await session.execute(
            select(RefreshToken, User, ApiToken)
            .join(User, User.id == RefreshToken.user_id)
            .join(ApiToken, ApiToken.id == RefreshToken.api_token_id, isouter=True)
            .where(RefreshToken.token_hash == hash_token(body.refresh_token))
        )
        row = found.one_or_none()
    if row is None or row[0].revoked_at or row[1].disabled_at or row[1].name != body.username:
        raise Unauthenticated("Refresh token is invalid")
    if row[0].expires_at <= clock.now():
        raise Unauthenticated("Refresh token has expired")
    if row[0].api_token_id is not None and not counts(row[2]):
        raise Unauthenticated("Refresh token is invalid")
    token, ends = access.issue(row[1].id, row[0].api_token_id)
    return Tokens(access_token=token, expires_at=ends)


async def end_logins(session: AsyncSession, user: User) -> None:
    """No refresh token of the user works any more."""
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.user_id == user.id, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )


async def _by_password(db: Database, passwords: Passwords, visitor: Visitor, body: CreateTokens) -> User:
    async with db.transaction() as session:
        await throttle.begin(session, throttle.subject_of_address(visitor.address))
        await throttle.begin(session, throttle.subject_of_name(body.username))
        found = await session.execute(
            select(User, Identity)
            .join(Identity, Identity.user_id == User.id)
            .where(Identity.issuer == LOCAL_ISSUER, Identity.subject == body.username)
        )
        row = found.one_or_none()
    known = row[1].password_hash if row else None
    fits = await passwords.matches(known, body.password)
    if row is None or known is None or not fits or row[0].disabled_at is not None:
        raise Unauthenticated(_WRONG)
    fresh = await passwords.hash(body.password) if passwords.is_outdated(known) else None
    async with db.transaction() as session:
        await throttle.succeeded(session, body.username, visitor.address)
        if fresh:
            await session.execute(update(Identity).where(Identity.id == row[1].id).values(password_hash=fresh))
    user: User = row[0]
    return user


async def _by_api_token(db: Database, visitor: Visitor, body: CreateTokens) -> tuple[User, ApiToken]:
    """Not slowed down by failures under the same name: 256 bits cannot be guessed."""
    async with db.transaction() as session:
        await throttle.begin(session, throttle.subject_of_address(visitor.address))
    async with db.transaction() as session:
        found = await user_of_api_token(session, body.password)
        if found is None or found[0].name != body.username:
            raise Unauthenticated(_WRONG)
        await throttle.take_back(session, throttle.subject_of_address(visitor.address))
        return found
