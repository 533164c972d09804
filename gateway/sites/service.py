"""Sites: edited by the operator, seen by everybody who is logged in."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

import backends.spec
from gateway import clock
from gateway.audit.service import record
from gateway.connections.rows import Connection
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Conflict, NotFound
from gateway.schemas.sites import CreateSite, SiteView
from gateway.schemas.wire import Page
from gateway.sites.address import check_site
from gateway.sites.rows import Site
from gateway.sites.waiting import wake_waiting
from gateway.users.access import require_admin, require_person
from gateway.users.caller import Caller


async def create(db: Database, caller: Caller, body: CreateSite) -> SiteView:
    require_admin(caller)
    check_site(body)
    try:
        async with db.transaction() as session:
            row = Site()
            _fill(row, body)
            session.add(row)
            await session.flush()
            record(session, caller, "site.create", "site", row.id, name=row.name, target=_target(row))
    except IntegrityError:
        raise _taken(body.name) from None
    return _view(row, caller)


async def listing(db: Database, caller: Caller, cursor: str | None, limit: int) -> Page[SiteView]:
    require_person(caller)
    async with db.reading() as session:
        rows, following = await fetch(session, select(Site), Site, cursor, limit)
    return Page(items=[_view(row, caller) for row in rows], next_cursor=following)


async def show(db: Database, caller: Caller, site_id: UUID) -> SiteView:
    require_person(caller)
    async with db.reading() as session:
        row = await session.get(Site, site_id)
    if row is None:
        raise NotFound("There is no such site; see GET /sites.")
    return _view(row, caller)


async def change(db: Database, caller: Caller, site_id: UUID, body: CreateSite) -> SiteView:
    """Replace it whole. Users' secrets follow the new address, so the audit keeps the old one and the new one.

    What waits for the site is looked at again at once when the way to it changed, or when it goes on after a pause.
    """
    require_admin(caller)
    check_site(body)
    try:
        async with db.transaction() as session:
            row = await session.get(Site, site_id)
            if row is None:
                raise NotFound("There is no such site; see GET /sites.")
            before, way, paused = _target(row), backend_site(row), row.paused_at is not None
            _fill(row, body)
            if backend_site(row) != way or (paused and not body.paused):
                await wake_waiting(session, row.id)
            target = _target(row)
            record(
                session, caller, "site.change", "site", row.id,
                name=row.name, before=before, target=target, paused=body.paused,
            )  # fmt: skip
    except IntegrityError:
        raise _taken(body.name) from None
    return _view(row, caller)


async def remove(db: Database, caller: Caller, site_id: UUID) -> None:
    """Delete a site that no connection was ever made for."""
    require_admin(caller)
    async with db.transaction() as session:
        row = await session.get(Site, site_id)
        if row is None:
            raise NotFound("There is no such site; see GET /sites.")
        used = await session.scalars(select(Connection.id).where(Connection.site_id == site_id).limit(1))
        if used.one_or_none() is not None:
            raise Conflict("A site that has had connections stays.", next_step="Rename it instead.")
        await session.delete(row)
        record(session, caller, "site.delete", "site", site_id, name=row.name)


def backend_site(row: Site) -> backends.spec.Site:
    """A site as a backend takes it."""
    options = {**row.options, "rawJobsAllowed": row.raw_jobs_allowed}
    if row.tls_ca is not None:
        options["tlsCa"] = row.tls_ca
    if not row.verify_tls:
        options["verifyTls"] = False
    return backends.spec.Site(
        id=str(row.id),
        name=row.name,
        kind=row.kind,
        host=row.host,
        port=row.port,
        url=row.url,
        host_keys=tuple(row.host_keys),
        jump=row.jump,
        work_directory=row.work_directory,
        options=options,
    )


def _fill(row: Site, body: CreateSite) -> None:
    for column, value in body.model_dump(exclude={"paused"}).items():
        setattr(row, column, value)
    row.paused_at = (row.paused_at or clock.now()) if body.paused else None


def _target(row: Site) -> str:
    return row.url or (f"{row.host}:{row.port or 22}" if row.host else row.kind)


def _taken(name: str) -> Conflict:
    return Conflict(f"name: there is a site {name!r} already; choose another name.")


def _view(row: Site, caller: Caller) -> SiteView:
    """Options may hold paths of the gateway's machine: for admins only."""
    names = [name for name in SiteView.model_fields if name not in ("site_id", "options", "paused")]
    options = row.options if caller.is_admin else {}
    shown = {name: getattr(row, name) for name in names}
    return SiteView(site_id=row.id, options=options, paused=row.paused_at is not None, **shown)
