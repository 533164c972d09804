"""Run tokens: opaque, only a hash kept, valid as long as their run can speak."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway import clock
from gateway.runs.rows import Attempt, Run
from gateway.runs.states import State
from gateway.tracking.rows import RunToken
from gateway.users.caller import Caller
from gateway.users.rows import User

PREFIX = "mrt_"
AFTER_END = timedelta(hours=1)
"""For what a job still sends when its run has ended."""
TOO_EARLY = frozenset({State.CREATED, State.PREPARING})
"""The token is written to the site in these states, and works from the next one."""


def new(run_id: UUID, attempt: int) -> tuple[str, RunToken]:
    """A new token of one attempt and the row to store; this answer is the only place that ever has the token."""
    token = PREFIX + secrets.token_urlsafe(32)
    return token, RunToken(run_id=run_id, attempt=attempt, token_hash=_hash(token))


async def authenticate(session: AsyncSession, token: str) -> Caller | None:
    """The run behind a token, acting for the owner of its connection; None when the token is not, or no more, valid.

    Valid from SUBMITTING until an hour after the end, with no expiry by the clock: a queue may take days. The token of
    a revoked attempt, a deleted run or a disabled user is not.
    """
    if not token.startswith(PREFIX):
        return None
    found = await session.execute(
        select(RunToken, Run, User, Attempt.revoked_at)
        .join(Run, Run.id == RunToken.run_id)
        .join(User, User.id == Run.run_as)
        .join(Attempt, (Attempt.run_id == RunToken.run_id) & (Attempt.n == RunToken.attempt), isouter=True)
        .where(RunToken.token_hash == _hash(token))
    )
    row = found.one_or_none()
    if row is None:
        return None
    kept, run, user, revoked_at = row
    if not _speaks(run) or revoked_at is not None or user.disabled_at is not None:
        return None
    return Caller(
        user_id=user.id,
        name=user.name,
        token_id=kept.id,
        run_id=run.id,
        project_id=run.project_id,
        mlflow_run_id=run.mlflow_run_id,
    )


def _speaks(run: Run) -> bool:
    if run.state in TOO_EARLY or run.deleted_at is not None:
        return False
    return run.ended_at is None or clock.now() < run.ended_at + AFTER_END


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
