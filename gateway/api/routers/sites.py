"""Sites; changed by admins only."""

from typing import Annotated

from fastapi import APIRouter, Query, status

from gateway.api.dependencies import PAGE, CallerDep, ContextDep, Cursor, Limit, SiteId
from gateway.schemas.sites import CreateSite, ScannedHostKeys, SiteView
from gateway.schemas.wire import Page
from gateway.sites import address, service

router = APIRouter(prefix="/sites", tags=["Sites"])


@router.get("")
async def list_sites(
    context: ContextDep, caller: CallerDep, cursor: Cursor = None, limit: Limit = PAGE
) -> Page[SiteView]:
    return await service.listing(context.db, caller, cursor, limit)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_site(context: ContextDep, caller: CallerDep, body: CreateSite) -> SiteView:
    return await service.create(context.db, caller, body)


@router.post("/scan-host-keys")
async def scan_host_keys(
    caller: CallerDep,
    host: Annotated[str, Query(min_length=1, max_length=300)],
    port: Annotated[int, Query(ge=1, le=65535)] = 22,
) -> ScannedHostKeys:
    return await address.scan(caller, host, port)


@router.get("/{siteId}")
async def show_site(context: ContextDep, caller: CallerDep, site_id: SiteId) -> SiteView:
    return await service.show(context.db, caller, site_id)


@router.put("/{siteId}")
async def change_site(context: ContextDep, caller: CallerDep, site_id: SiteId, body: CreateSite) -> SiteView:
    return await service.change(context.db, caller, site_id, body)


@router.delete("/{siteId}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_site(context: ContextDep, caller: CallerDep, site_id: SiteId) -> None:
    await service.remove(context.db, caller, site_id)
