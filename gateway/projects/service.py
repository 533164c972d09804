"""Projects: made by anybody, changed by maintainers, deleted by owners."""

from uuid import UUID

from sqlalchemy import Select, delete, or_, select
from sqlalchemy.exc import IntegrityError

from gateway.audit.service import record
from gateway.budgets.rows import Budget
from gateway.db.paging import fetch
from gateway.db.session import Database
from gateway.errors import Conflict
from gateway.models.rows import TrainedModel
from gateway.projects.access import require, role_of
from gateway.projects.rows import Member, Project
from gateway.repositories.rows import CodeRepository, ExperimentRepository
from gateway.retention.rows import RetentionRules
from gateway.runs.rows import Preview, Run
from gateway.schemas.projects import CreateProject, ProjectView, Role
from gateway.schemas.wire import Page
from gateway.users.access import require_person
from gateway.users.caller import Caller


async def create(db: Database, caller: Caller, body: CreateProject) -> ProjectView:
    """The caller becomes its owner."""
    require_person(caller)
    try:
        async with db.transaction() as session:
            project = Project(**body.model_dump(), created_by=caller.user_id)
            session.add(project)
            await session.flush()
            session.add(Member(project_id=project.id, user_id=caller.user_id, role="owner"))
            record(session, caller, "project.create", "project", project.id, name=body.name, public=body.public)
    except IntegrityError:
        raise _taken(body.name) from None
    return _view(project, "owner")


async def listing(db: Database, caller: Caller, cursor: str | None, limit: int) -> Page[ProjectView]:
    """The projects of which the caller is a member, and the public ones; for a run its own."""
    async with db.reading() as session:
        rows, following = await fetch(session, _visible(caller), Project, cursor, limit)
        items = [_view(row, await role_of(session, caller, row.id)) for row in rows]
    return Page(items=items, next_cursor=following)


async def show(db: Database, caller: Caller, project_id: UUID) -> ProjectView:
    async with db.reading() as session:
        project = await require(session, caller, project_id, "guest")
        return _view(project, await role_of(session, caller, project_id))


async def change(db: Database, caller: Caller, project_id: UUID, body: CreateProject) -> ProjectView:
    """Replace name, description and visibility; who may see a project is its owners' choice."""
    try:
        async with db.transaction() as session:
            project = await require(session, caller, project_id, "maintainer")
            if (body.public, body.public_details) != (project.public, project.public_details):
                await require(session, caller, project_id, "owner")
            for field, value in body.model_dump().items():
                setattr(project, field, value)
            shown = f"public={body.public}, publicDetails={body.public_details}"
            record(session, caller, "project.change", "project", project_id, name=body.name, visibility=shown)
            role = await role_of(session, caller, project_id)
    except IntegrityError:
        raise _taken(body.name) from None
    return _view(project, role)


async def remove(db: Database, caller: Caller, project_id: UUID) -> None:
    """Delete a project that never had a run. The cost of runs is kept, and with it their project."""
    async with db.transaction() as session:
        project = await require(session, caller, project_id, "owner")
        if (await session.scalars(select(Run.id).where(Run.project_id == project_id).limit(1))).one_or_none():
            raise Conflict(
                "A project that has had runs stays, because what they cost is kept.",
                next_step="Remove its members and make it private instead.",
            )
        models = select(TrainedModel.id).where(TrainedModel.project_id == project_id).limit(1)
        if (await session.scalars(models)).one_or_none() is not None:
            raise Conflict("A project that has models stays.", next_step="Unregister them first: mantik models list")
        for table in (Member, Budget, Preview, RetentionRules, CodeRepository, ExperimentRepository):
            await session.execute(delete(table).where(table.project_id == project_id))
        await session.delete(project)
        record(session, caller, "project.delete", "project", project_id, name=project.name)


def _visible(caller: Caller) -> Select[Project]:
    if caller.run_id is not None:
        return select(Project).where(Project.id == caller.project_id)
    mine = select(Member.project_id).where(Member.user_id == caller.user_id)
    return select(Project).where(or_(Project.public, Project.id.in_(mine)))


def _taken(name: str) -> Conflict:
    return Conflict(f"name: there is a project {name!r} already (perhaps one you cannot see); choose another name.")


def _view(project: Project, role: Role | None) -> ProjectView:
    return ProjectView(
        project_id=project.id,
        name=project.name,
        description=project.description,
        public=project.public,
        public_details=project.public_details,
        role=role,
        created_at=project.created_at,
    )
