"""What the gateway says of itself, to anybody."""

from fastapi import APIRouter
from sqlalchemy import text

from gateway.api.dependencies import ContextDep, VisitorDep
from gateway.schemas.about import Health, Version
from gateway.version import NAME, VERSION

router = APIRouter(tags=["About"])


@router.get("/version")
async def show_version(_: VisitorDep) -> Version:
    return Version(name=NAME, version=VERSION, api="v1")


@router.get("/health")
async def show_health(context: ContextDep, _: VisitorDep) -> Health:
    """200 while the database answers, 503 when not; tracking may be away for a while."""
    async with context.db.reading() as session:
        await session.execute(text("SELECT 1"))
    tracked = await context.tracking.healthy()
    return Health(status="ok" if tracked else "degraded", database="ok", tracking="ok" if tracked else "away")
