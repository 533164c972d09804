"""The application: routers, error shape, limits."""

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic.alias_generators import to_camel

from gateway.api import problems
from gateway.api.body_limit import BodyLimit
from gateway.api.frame import Frame
from gateway.api.rate import RateLimit
from gateway.api.routers import (
    about,
    budget,
    code,
    connections,
    experiments,
    members,
    models,
    notifications,
    projects,
    retention,
    run_reports,
    runs,
    schedules,
    sites,
    subscriptions,
    tokens,
    tracking,
    users,
)
from gateway.api.run_streams import Followers
from gateway.context import Context
from gateway.schemas.wire import Problem
from gateway.version import VERSION

PREFIX = "/api/v1"
ROUTERS = (
    about,
    tokens,
    users,
    projects,
    members,
    budget,
    experiments,
    code,
    runs,
    run_reports,
    schedules,
    models,
    retention,
    sites,
    connections,
    subscriptions,
    notifications,
)


def create_app(context: Context) -> FastAPI:
    """The gateway's application over open doors; it opens and closes nothing itself."""
    app = FastAPI(
        title="Mantik gateway",
        version=VERSION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.context = context
    app.state.followers = Followers()
    app.state.rate_limit = RateLimit(context.settings.requests_per_minute)
    app.state.notification_limit = RateLimit(notifications.PER_MINUTE)
    app.state.test_limit = RateLimit(subscriptions.TESTS_PER_MINUTE)
    app.state.tracking_limit = RateLimit(context.settings.tracking_requests_per_minute)
    problems.install(app)
    shape = {"model": Problem, "content": {problems.MEDIA_TYPE: {}}}
    api = APIRouter(prefix=PREFIX, responses={"4XX": shape, "5XX": shape})
    for module in ROUTERS:
        api.include_router(module.router)
    app.include_router(api)
    app.include_router(tracking.router)
    app.add_middleware(BodyLimit, prefix=f"{PREFIX}/", most=context.settings.max_body_bytes)
    app.add_middleware(Frame, api_prefix=f"{PREFIX}/", allowed_hosts=context.settings.allowed_hosts)
    return app


def _operation_id(route: APIRoute) -> str:
    return to_camel(route.name)
