"""Code repositories: a git URI, and the connection that opens it where it is private."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.audit.service import record
from gateway.connections.rows import Connection
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.projects.access import require, sees_details
from gateway.repositories.rows import CodeRepository
from gateway.repositories.uri import GitLocation, check_git_uri
from gateway.runs.rows import Run
from gateway.schemas.projects import CodeView, CreateCode
from gateway.schemas.wire import Page
from gateway.settings import Settings
from gateway.users.caller import Caller


async def create(db: Database, settings: Settings, caller: Caller, project_id: UUID, body: CreateCode) -> CodeView:
    location = _check(settings, body)
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "researcher")
            await _check_connection(session, caller, body.connection_id, location)
            row = CodeRepository(project_id=project_id, **_columns(body))
            session.add(row)
            await session.flush()
            record(session, caller, "code.create", "code", row.id, name=row.name, uri=row.uri)
    except IntegrityError:
        raise _taken(body) from None
    return _view(row)


async def listing(db: Database, caller: Caller, project_id: UUID, cursor: str | None, limit: int) -> Page[CodeView]:
    async with db.reading() as session:
        show = await sees_details(session, caller, await require(session, caller, project_id, "guest"))
        statement = select(CodeRepository).where(CodeRepository.project_id == project_id)
        rows, following = await fetch(session, statement, CodeRepository, cursor, limit)
    return Page(items=[_view(row, details=show) for row in rows], next_cursor=following)


async def show(db: Database, caller: Caller, project_id: UUID, code_id: UUID) -> CodeView:
    async with db.reading() as session:
        details = await sees_details(session, caller, await require(session, caller, project_id, "guest"))
        return _view(await _row(session, project_id, code_id), details=details)


async def change(
    db: Database, settings: Settings, caller: Caller, project_id: UUID, code_id: UUID, body: CreateCode
) -> CodeView:
    """Replace it. Another URI needs a connection of the caller: nobody points a colleague's secret elsewhere."""
    location = _check(settings, body)
    try:
        async with db.transaction() as session:
            await require(session, caller, project_id, "researcher")
            row = await _row(session, project_id, code_id)
            if (row.connection_id, row.uri) != (body.connection_id, body.uri):
                await _check_connection(session, caller, body.connection_id, location)
            for column, value in _columns(body).items():
                setattr(row, column, value)
            record(session, caller, "code.change", "code", row.id, name=row.name, uri=row.uri)
    except IntegrityError:
        raise _taken(body) from None
    return _view(row)


async def remove(db: Database, caller: Caller, project_id: UUID, code_id: UUID) -> None:
    async with db.transaction() as session:
        await require(session, caller, project_id, "maintainer")
        row = await _row(session, project_id, code_id)
        used = await session.scalars(select(Run.id).where(Run.code_repository_id == code_id).limit(1))
        if used.one_or_none() is not None:
            raise Conflict("A code repository that has runs stays.", next_step="Rename it instead.")
        await session.delete(row)
        record(session, caller, "code.delete", "code", code_id, name=row.name)


def _check(settings: Settings, body: CreateCode) -> GitLocation:
    return check_git_uri(
        body.uri,
        allowed_hosts=settings.allowed_git_hosts,
        local_allowed=settings.local_git_allowed,
        private=settings.data_dir,
    )


async def _check_connection(
    session: AsyncSession, caller: Caller, connection_id: UUID | None, location: GitLocation
) -> None:
    """The connection is the caller's own and made for the origin of the URI."""
    if connection_id is None:
        return
    row = await session.get(Connection, connection_id)
    if row is None or row.owner_id != caller.user_id or row.retired_at is not None:
        raise NotFound("connectionId: you have no such connection.")
    if row.origin is None or row.origin != location.origin:
        raise InvalidInput(
            f"connectionId: connection {row.name} is for {row.origin or 'a site'}, and the repository is at "
            f"{location.origin or 'a path of this machine'}; choose one for the same origin, or none."
        )


async def _row(session: AsyncSession, project_id: UUID, code_id: UUID) -> CodeRepository:
    row = await session.get(CodeRepository, code_id)
    if row is None or row.project_id != project_id:
        raise NotFound("The project has no such code repository.")
    return row


def _columns(body: CreateCode) -> dict[str, object]:
    values = body.model_dump()
    return {"name": values.pop("code_repository_name"), **values}


def _taken(body: CreateCode) -> Conflict:
    name = body.code_repository_name
    return Conflict(f"codeRepositoryName: the project has a code repository {name!r} already; choose another name.")


def _view(row: CodeRepository, *, details: bool = True) -> CodeView:
    """Without `details`, for strangers to a public project, it says neither where the code lies nor what opens it."""
    return CodeView(
        code_repository_id=row.id,
        code_repository_name=row.name,
        description=row.description,
        uri=row.uri if details else "",
        connection_id=row.connection_id if details else None,
        platform=row.platform,
        created_at=row.created_at,
    )
