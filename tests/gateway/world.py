"""A small world for tests: people with each role in one project, and everything a path can name."""

import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from gateway import clock
from gateway.audit.rows import AuditEntry
from gateway.connections.rows import Connection, CredentialVersion
from gateway.context import Context
from gateway.models.rows import TrainedModel
from gateway.projects.rows import Member, Project
from gateway.repositories.rows import CodeRepository, ExperimentRepository
from gateway.runs.moves import record
from gateway.runs.rows import Run
from gateway.runs.states import State
from gateway.schedules.rows import Schedule
from gateway.sites.rows import Site
from gateway.subscriptions.rows import Subscription
from gateway.subscriptions.signature import new_secret
from gateway.tracking import tokens as run_tokens
from gateway.users.caller import Caller
from gateway.users.rows import ApiToken, User
from gateway.users.tokens import hash_token

ROLES = ("owner", "maintainer", "researcher", "reporter", "guest")
API = "/api/v1"


@dataclass(frozen=True)
class Person:
    id: uuid.UUID
    name: str
    headers: dict[str, str]
    is_admin: bool = False

    @property
    def caller(self) -> Caller:
        return Caller(self.id, self.name, self.is_admin)


@dataclass(frozen=True)
class Place:
    """One project with all roles filled, and one of each thing in it; `ids` fill a path template."""

    ids: dict[str, str]
    run_headers: dict[str, str]


class World:
    """Makes people and places straight in the database: quick, and independent of what is tested."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.people: dict[str, Person] = {}

    async def person(self, name: str, *, admin: bool = False) -> Person:
        if name not in self.people:
            async with self.context.db.transaction() as session:
                user = User(name=name, is_admin=admin)
                session.add(user)
                await session.flush()
            headers = {"Authorization": f"Bearer {self.context.access.issue(user.id)[0]}"}
            self.people[name] = Person(user.id, name, headers, admin)
        return self.people[name]

    async def place(self, *, public: bool = False) -> Place:
        people = {role: await self.person(role) for role in ROLES}
        another = await self.person("another")
        unique = secrets.token_hex(4)
        async with self.context.db.transaction() as session:
            site = Site(name=f"site-{unique}", kind="local")
            project = Project(name=f"project-{unique}", public=public, created_by=people["owner"].id)
            session.add_all([site, project])
            await session.flush()
            session.add_all(Member(project_id=project.id, user_id=people[role].id, role=role) for role in ROLES)
            session.add(Member(project_id=project.id, user_id=another.id, role="guest"))
            connection = Connection(
                owner_id=people["owner"].id,
                name=f"connection-{unique}",
                provider="Local",
                auth_method="None",
                site_id=site.id,
            )
            experiment = ExperimentRepository(project_id=project.id, name="experiment")
            code = CodeRepository(project_id=project.id, name="code", uri="https://git.example.org/a/b.git")
            token = ApiToken(user_id=people["owner"].id, name="script", token_hash=hash_token(unique))
            session.add_all([connection, experiment, code, token])
            await session.flush()
            session.add(CredentialVersion(connection_id=connection.id, version=1, created_at=clock.now()))
            ids = {
                "projectId": project.id,
                "siteId": site.id,
                "connectionId": connection.id,
                "experimentRepositoryId": experiment.id,
                "codeRepositoryId": code.id,
                "tokenId": token.id,
                "userId": people["owner"].id,
            }
        return Place({k: str(v) for k, v in ids.items()}, {})

    async def run(self, place: Place, *, state: str = "RUNNING", due: bool = False) -> Place:
        """The place with a run in it, and the headers of its run token."""
        ids = {k: uuid.UUID(v) for k, v in place.ids.items()}
        run_id, owner = uuid.uuid4(), (await self.person("owner")).id
        async with self.context.db.transaction() as session:
            run = Run(
                id=run_id,
                name="run",
                project_id=ids["projectId"],
                created_by=owner,
                run_as=owner,
                experiment_repository_id=ids["experimentRepositoryId"],
                code_repository_id=ids["codeRepositoryId"],
                connection_id=ids["connectionId"],
                site_id=ids["siteId"],
                mlproject_path="MLproject",
                lineage_id=run_id,
                state=state,
                due_at=clock.now() if due else None,
            )
            session.add(run)
            await session.flush()
            record(session, run_id, "state", "The request was accepted.", to=State.CREATED)
            token, row = run_tokens.new(run_id, 1)
            session.add(row)
        return Place({**place.ids, "runId": str(run_id)}, {"Authorization": f"Bearer {token}"})

    async def commit(self, run_id: uuid.UUID, commit: str) -> None:
        """The run was planned at this commit."""
        async with self.context.db.transaction() as session:
            (await session.get_one(Run, run_id)).commit = commit

    async def schedule(self, place: Place) -> Place:
        """The place with a schedule of its owner, which repeats its run at midnight."""
        owner, now = (await self.person("owner")).id, clock.now()
        async with self.context.db.transaction() as session:
            schedule = Schedule(
                name=f"nightly-{secrets.token_hex(4)}",
                project_id=uuid.UUID(place.ids["projectId"]),
                created_by=owner,
                run_as=owner,
                run_id=uuid.UUID(place.ids["runId"]),
                connection_id=uuid.UUID(place.ids["connectionId"]),
                expression="0 0 * * *",
                zone="UTC",
                overlap="skip",
                misfire="skip",
                misfire_most=10,
                grace_seconds=600,
                max_failures=3,
                state="ACTIVE",
                next_at=now + timedelta(days=1),
                due_at=now + timedelta(days=1),
                changed_at=now,
            )
            session.add(schedule)
            await session.flush()
            return Place({**place.ids, "scheduleId": str(schedule.id)}, place.run_headers)

    async def subscription(self, place: Place) -> Place:
        """The place with a subscription of its owner, whose address is not spoken to any more."""
        async with self.context.db.transaction() as session:
            subscription = Subscription(
                user_id=(await self.person("owner")).id,
                name=f"hook-{secrets.token_hex(4)}",
                kind="webhook",
                target="https://127.0.0.1/a",
                secret_id=await self.context.vault.store(session, new_secret()),
                events=["RUN_FAILED"],
            )
            session.add(subscription)
            await session.flush()
            return Place({**place.ids, "subscriptionId": str(subscription.id)}, place.run_headers)

    async def model(self, place: Place) -> Place:
        """The place with a model of its owner that lies elsewhere."""
        owner, now = (await self.person("owner")).id, clock.now()
        async with self.context.db.transaction() as session:
            model = TrainedModel(
                name=f"net-{secrets.token_hex(4)}",
                project_id=uuid.UUID(place.ids["projectId"]),
                created_by=owner,
                uri="https://hub.example.org/net",
                location="hub",
                status="REGISTERED",
                changed_at=now,
            )
            session.add(model)
            await session.flush()
            return Place({**place.ids, "modelId": str(model.id)}, place.run_headers)

    async def audit(self) -> list[AuditEntry]:
        async with self.context.db.reading() as session:
            return list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
