"""Personal API tokens: for scripts; shown once, only a hash is kept."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.audit.service import record
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Forbidden, InvalidInput, NotFound
from gateway.schemas.users import ApiTokenView, CreateApiToken, NewApiToken
from gateway.schemas.wire import Page
from gateway.users.access import require_person
from gateway.users.caller import Caller
from gateway.users.rows import ApiToken, User
from gateway.users.tokens import API_PREFIX, hash_token, new_token

_USE_NOTED_EVERY = timedelta(minutes=5)


async def create(db: Database, caller: Caller, body: CreateApiToken) -> NewApiToken:
    """Made by a login only: a stolen token cannot make itself successors."""
    require_person(caller)
    if caller.token_id is not None:
        raise Forbidden("A personal API token cannot make another one.", next_step="Log in with your password.")
    if body.expires_at is not None and (body.expires_at.tzinfo is None or body.expires_at <= clock.now()):
        raise InvalidInput("expiresAt: give a time in the future, with its zone, or leave it out.")
    text = new_token(API_PREFIX)
    async with db.transaction() as session:
        row = ApiToken(user_id=caller.user_id, name=body.name, token_hash=hash_token(text), expires_at=body.expires_at)
        session.add(row)
        await session.flush()
        record(session, caller, "apiToken.create", "apiToken", row.id, name=body.name)
    return NewApiToken(token=text, **dict(_view(row)))


async def listing(db: Database, caller: Caller, cursor: str | None, limit: int) -> Page[ApiTokenView]:
    require_person(caller)
    statement = select(ApiToken).where(ApiToken.user_id == caller.user_id, ApiToken.revoked_at.is_(None))
    async with db.reading() as session:
        rows, following = await fetch(session, statement, ApiToken, cursor, limit)
    return Page(items=[_view(row) for row in rows], next_cursor=following)


async def revoke(db: Database, caller: Caller, token_id: UUID) -> None:
    require_person(caller)
    async with db.transaction() as session:
        changed = await session.execute(
            update(ApiToken)
            .where(ApiToken.id == token_id, ApiToken.user_id == caller.user_id, ApiToken.revoked_at.is_(None))
            .values(revoked_at=clock.now())
            .returning(ApiToken.id)
        )
        if changed.one_or_none() is None:
            raise NotFound("You have no such API token.")
        record(session, caller, "apiToken.revoke", "apiToken", token_id)


async def user_of_api_token(session: AsyncSession, text: str) -> tuple[User, ApiToken] | None:
    """Whose token this is, if it still counts."""
    statement = select(User, ApiToken).join(ApiToken, ApiToken.user_id == User.id)
    found = await session.execute(statement.where(ApiToken.token_hash == hash_token(text)))
    row = found.one_or_none()
    if row is None or row[0].disabled_at is not None or not counts(row[1]):
        return None
    return row[0], row[1]


def counts(token: ApiToken | None) -> bool:
    """Whether a token is there, not revoked and not past its end."""
    if token is None or token.revoked_at is not None:
        return False
    return token.expires_at is None or token.expires_at > clock.now()


async def note_use(db: Database, token: ApiToken) -> None:
    """Remember roughly when the token was last used, without a write for every request."""
    if token.last_used_at is not None and token.last_used_at > clock.now() - _USE_NOTED_EVERY:
        return
    async with db.transaction() as session:
        await session.execute(update(ApiToken).where(ApiToken.id == token.id).values(last_used_at=clock.now()))


def _view(row: ApiToken) -> ApiTokenView:
    return ApiTokenView(
        token_id=row.id,
        name=row.name,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
