"""What can be named by id or by name."""

from gateway.client.flow import Flow
from gateway.client.names import Kind, Place, Ref, find_id
from gateway.client.session import Session
from gateway.errors import InvalidInput
from gateway.schemas.models import ModelView
from gateway.schemas.projects import CodeView, ExperimentView, ProjectView
from gateway.schemas.schedules import ScheduleView
from gateway.schemas.sites import ConnectionView, SiteView
from gateway.schemas.subscriptions import SubscriptionView
from gateway.schemas.users import ApiTokenView, UserDetails

PROJECT = Kind("project", ProjectView, lambda p: p.project_id, lambda p: p.name, "mantik projects list")
EXPERIMENT = Kind(
    "experiment repository",
    ExperimentView,
    lambda e: e.experiment_repository_id,
    lambda e: e.name,
    "mantik experiments list",
)
CODE = Kind(
    "code repository", CodeView, lambda c: c.code_repository_id, lambda c: c.code_repository_name, "mantik code list"
)
SITE = Kind("site", SiteView, lambda s: s.site_id, lambda s: s.name, "mantik sites list")
CONNECTION = Kind(
    "connection", ConnectionView, lambda c: c.connection_id, lambda c: c.connection_name, "mantik connections list"
)
SCHEDULE = Kind("schedule", ScheduleView, lambda s: s.schedule_id, lambda s: s.name, "mantik schedules list")
SUBSCRIPTION = Kind(
    "notification", SubscriptionView, lambda s: s.subscription_id, lambda s: s.name, "mantik notifications list"
)
MODEL = Kind("model", ModelView, lambda m: m.model_id, lambda m: m.name, "mantik models list")
TOKEN = Kind("token", ApiTokenView, lambda t: t.token_id, lambda t: t.name, "mantik tokens list")
USER = Kind("user", UserDetails, lambda u: u.user_id, lambda u: u.name, "mantik users list")


def at(path: str) -> Place:
    """A place that is known."""

    def place() -> Flow[str]:
        yield from ()
        return path

    return place


def of_user(session: Session, path: str) -> Place:
    """Below the caller's own settings."""

    def place() -> Flow[str]:
        me = yield from session.me()
        return f"/users/{me.user_id}{path}"

    return place


def of_project(session: Session, ref: Ref | None, path: str) -> Place:
    """Below a project, named by id or name."""

    def place() -> Flow[str]:
        if not ref:
            raise InvalidInput(
                "No project is given.", next_step="Set MANTIK_PROJECT_ID to its id or name; mantik projects list"
            )
        found = yield from find_id(session, PROJECT, "/projects", ref)
        return f"/projects/{found}{path}"

    return place
