"""From a bearer token to a caller: an access token, a personal API token, or a run token."""

from dataclasses import replace

from gateway.db.session import Database
from gateway.errors import Unauthenticated
from gateway.tracking import tokens as run_tokens
from gateway.users.api_tokens import counts, note_use, user_of_api_token
from gateway.users.caller import Caller
from gateway.users.rows import ApiToken, User
from gateway.users.tokens import API_PREFIX, AccessTokens

_LOG_IN = "Log in, and send the token as `Authorization: Bearer <token>`."
_ENDED = "The API token is not valid, has ended or was revoked."


async def authenticate(db: Database, access: AccessTokens, bearer: str | None, request_id: str = "") -> Caller:
    """Who sends this token. Raises Unauthenticated; a disabled user is out at once, whatever the token."""
    if not bearer:
        raise Unauthenticated("You are not logged in.", next_step=_LOG_IN)
    if bearer.startswith(API_PREFIX):
        caller = await _by_api_token(db, bearer)
    elif bearer.count(".") == 2:
        caller = await _by_access_token(db, access, bearer)
    else:
        caller = await _by_run_token(db, bearer)
    return replace(caller, request_id=request_id)


async def _by_api_token(db: Database, bearer: str) -> Caller:
    async with db.reading() as session:
        found = await user_of_api_token(session, bearer)
    if found is None:
        raise Unauthenticated(_ENDED, next_step=_LOG_IN)
    user, token = found
    await note_use(db, token)
    return Caller(user.id, user.name, user.is_admin, token_id=token.id)


async def _by_access_token(db: Database, access: AccessTokens, bearer: str) -> Caller:
    login = access.login_of(bearer)
    async with db.reading() as session:
        user = await session.get(User, login.user_id)
        token = await session.get(ApiToken, login.api_token_id) if login.api_token_id else None
    if user is None or user.disabled_at is not None:
        raise Unauthenticated("Your account is disabled.", next_step="Ask your operator.")
    if login.api_token_id is not None and not counts(token):
        raise Unauthenticated(_ENDED, next_step=_LOG_IN)
    return Caller(user.id, user.name, user.is_admin, token_id=login.api_token_id)


async def _by_run_token(db: Database, bearer: str) -> Caller:
    async with db.reading() as session:
        caller = await run_tokens.authenticate(session, bearer)
        user = await session.get(User, caller.user_id) if caller is not None else None
    if caller is None or user is None or user.disabled_at is not None:
        raise Unauthenticated("The token is not valid.", next_step=_LOG_IN)
    return caller
