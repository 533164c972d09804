"""Trying a connection: who am I there, which queues and accounts, can I write."""

import asyncio
import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic.alias_generators import to_camel
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

import backends.spec
from backends import registry
from backends.errors import AuthenticationFailed, BackendError, ChallengeRequired
from gateway import clock
from gateway.audit.service import record
from gateway.connections.credentials import StoredCredentials
from gateway.connections.issuers import TokenIssuers
from gateway.connections.rows import Connection, CredentialVersion
from gateway.connections.views import own_row
from gateway.db.session import Database
from gateway.errors import InvalidInput, SiteProblem
from gateway.runs.service import due_soon
from gateway.secrets.vault import Vault
from gateway.sites.rows import Site
from gateway.sites.service import backend_site
from gateway.users.access import require_self
from gateway.users.caller import Caller

TIME_LIMIT = 60.0
LOG_IN = "Log in anew with `mantik connections renew`, or choose anew with `mantik connections edit`."


async def check(
    db: Database, vault: Vault, issuers: TokenIssuers, caller: Caller, user_id: UUID, connection_id: UUID
) -> dict[str, Any]:
    """What the site says, as JSON, kept as the connection's last check. Raises SiteProblem with one clear sentence.

    A refused credential is tried again, once: its owner asks for it. A success clears the refusal."""
    require_self(caller, user_id)
    async with db.reading() as session:
        row = await own_row(session, caller, connection_id)
        site = await session.get(Site, row.site_id) if row.site_id is not None else None
    if site is None:
        raise InvalidInput(
            f"connectionId: connection {row.name} belongs to {row.origin}, not to a site; it is used when a run "
            "fetches its repository."
        )
    source = StoredCredentials(db, vault, connection_id, owner_asks=True, issuers=issuers)
    found: dict[str, Any] = {}
    problem: SiteProblem | None = None
    try:
        found = await _tried(backend_site(site), source)
    except SiteProblem as error:
        problem = error
    async with db.transaction() as session:
        await _keep(session, row, found, problem.message if problem is not None else None)
        record(session, caller, "connection.check", "connection", connection_id, ok=problem is None)
    if problem is not None:
        raise SiteProblem(f"Site {site.name}: {problem.message}", next_step=problem.next_step)
    return found


async def _tried(site: backends.spec.Site, source: StoredCredentials) -> dict[str, Any]:
    try:
        async with asyncio.timeout(TIME_LIMIT), registry.kind(site.kind).open(site, source) as backend:
            info = await backend.check()
    except TimeoutError:
        raise SiteProblem(f"it did not answer within {TIME_LIMIT:.0f} seconds; try again later.") from None
    except (AuthenticationFailed, ChallengeRequired) as error:
        raise SiteProblem(_words(error), next_step=LOG_IN) from None
    except BackendError as error:
        raise SiteProblem(_words(error)) from None
    said: dict[str, Any] = to_json(info)
    return said


def _words(error: BackendError) -> str:
    """With the site's own, unless the message has them already."""
    said = error.text.strip()[:500]
    return error.message if not said or said in error.message else f"{error.message} It said: {said}"


async def _keep(session: AsyncSession, row: Connection, found: dict[str, Any], problem: str | None) -> None:
    """Only for the version that was tried: a newer one has not been checked."""
    result = {"checkedAt": clock.now().isoformat(), "ok": problem is None, "error": problem, "site": found or None}
    await session.execute(
        update(Connection).where(Connection.id == row.id, Connection.version == row.version).values(last_check=result)
    )
    if problem is None:
        await session.execute(
            update(CredentialVersion)
            .where(CredentialVersion.connection_id == row.id, CredentialVersion.version == row.version)
            .values(refused_at=None, refused_text=None)
        )
        await due_soon(session, row.id)


def to_json(value: Any) -> Any:
    """Frozen dataclasses of a backend as camelCase JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {to_camel(f.name): to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    return value.isoformat() if isinstance(value, datetime) else value
