"""Taking a run request: check it, store the intent once, answer. The engine does the rest."""

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, Uuid, and_, bindparam, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from compute_backend_configs import ComputeBackendConfig, InvalidConfig, parse_config_data
from gateway import clock
from gateway.audit.service import record as audit
from gateway.budgets.admission import EVENT as BUDGET_EVENT
from gateway.budgets.admission import Asked, Refused, admit, note, tell_refusal
from gateway.budgets.cost import UNREAD, WorstCase, stored, worst_case
from gateway.budgets.guard import Guard
from gateway.budgets.rows import Budget
from gateway.budgets.service import hours_view
from gateway.connections.rows import Connection
from gateway.db.lease import later
from gateway.db.session import Database
from gateway.errors import Conflict, FieldProblem, Forbidden, InvalidInput, TooMany
from gateway.projects.access import require
from gateway.repositories.rows import CodeRepository, ExperimentRepository
from gateway.runs.moves import record
from gateway.runs.plan import PlanRefused, check_site, config_path
from gateway.runs.rows import Event, IdempotencyKey, Manifest, Run
from gateway.runs.states import LIVE, State
from gateway.schemas.runs import SubmitRun, SubmittedRun
from gateway.settings import Settings
from gateway.sites.rows import Site
from gateway.sites.service import backend_site
from gateway.users.caller import Caller

KEPT = timedelta(days=7)
"""How long an idempotency key is remembered."""
QUICK = 4096
"""Characters of a config that is read at once: other requests wait for it, and a thread costs more."""


@dataclass(frozen=True, slots=True)
class GivenConfig:
    """The config of a request, read before a transaction is open, and what is wrong with it."""

    stored: dict[str, Any]
    read: ComputeBackendConfig | None = None
    """None where it is a file of the repository, or not valid."""
    problems: tuple[FieldProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """A checked run that is not stored."""

    run: Run
    worst: WorstCase
    guarded: bool
    """Whether the project's budget guard is on."""


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a preview reserved and showed."""

    run_id: uuid.UUID
    manifest: Manifest
    worst: WorstCase


async def submit(
    db: Database,
    settings: Settings,
    caller: Caller,
    project_id: uuid.UUID,
    body: SubmitRun,
    *,
    key: str | None = None,
    planned: Previewed | None = None,
) -> SubmittedRun:
    """Store the run and answer; the same key with the same body answers the same run, with another body Conflict.

    The engine submits exactly the bytes of `planned`, where there is a preview. Raises Conflict and InvalidInput of the
    budget guard, whose subscribers are told."""
    digest = _digest(body)
    config = await given_config(body)
    try:
        async with db.transaction() as session:
            if (answered := await _earlier(session, caller, project_id, key, digest)) is not None:
                return answered
            built = await build(session, settings, caller, project_id, body, config)
            answer = await _stored(session, caller, built, planned)
            _remember(session, caller, built.run, key, digest)
    except Refused as refused:
        await tell_refusal(db, refused)
        raise refused.verdict.error() from None
    except IntegrityError:
        # The same key came in twice at once: the other transaction has the row.
        async with db.reading() as session:
            if (answered := await _earlier(session, caller, project_id, key, digest)) is not None:
                return answered
        if planned is None:
            raise
        raise Conflict("This preview was submitted before.", next_step="See `mantik runs list`.") from None
    return answer


async def _stored(session: AsyncSession, caller: Caller, built: Built, planned: Previewed | None) -> SubmittedRun:
    """Raises Refused."""
    run, worst = built.run, built.worst
    if planned is not None:
        run.id = run.lineage_id = planned.run_id
        run.commit, worst = planned.manifest.commit, planned.worst
    for name, value in worst.columns.items():
        setattr(run, name, value)
    # A file of the repository is judged when it is read.
    admitted = await admit(session, Asked.of(run), worst) if built.guarded and worst is not UNREAD else None
    run.due_at = later(session, 0)  # the INSERT asks the clock of the database
    session.add(run)
    await session.flush()
    record(session, run.id, "state", "The request was accepted.", to=State.CREATED, caller=caller)
    audit(session, caller, "run.submit", "run", run.id, project=str(run.project_id), name=run.name)
    if admitted is not None:
        await note(session, Asked.of(run), admitted)
    if planned is not None:
        session.add(planned.manifest)
    warnings = admitted.warnings if admitted is not None else []
    return SubmittedRun(run_id=run.id, state="CREATED", worst_case=hours_view(worst), warnings=warnings)


def _remember(session: AsyncSession, caller: Caller, run: Run, key: str | None, digest: str) -> None:
    if key is not None:
        route = _route(run.project_id)
        row = IdempotencyKey(user_id=caller.user_id, route=route, key=key, body_sha256=digest, object_id=run.id)
        row.created_at = clock.now()
        session.add(row)


async def earlier(
    db: Database, caller: Caller, project_id: uuid.UUID, body: SubmitRun, key: str | None
) -> SubmittedRun | None:
    """What the same request was answered before. Raises Conflict when the key came with another body."""
    async with db.transaction() as session:
        return await _earlier(session, caller, project_id, key, _digest(body))


def _digest(body: SubmitRun) -> str:
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()


def _route(project_id: uuid.UUID) -> str:
    return f"POST /projects/{project_id}/runs"


async def _earlier(
    session: AsyncSession, caller: Caller, project_id: uuid.UUID, key: str | None, digest: str
) -> SubmittedRun | None:
    if key is None:
        return None
    if not 1 <= len(key) <= 200:
        raise InvalidInput("Idempotency-Key must have 1 to 200 characters.")
    row = await session.get(IdempotencyKey, (caller.user_id, _route(project_id), key))
    if row is None or row.created_at < clock.now() - KEPT:
        if row is not None:
            await session.delete(row)
            await session.flush()
        return None
    if row.body_sha256 != digest:
        raise Conflict("This Idempotency-Key was used for another request.", next_step="Use a new key.")
    return await _answered(session, row.object_id)


async def _answered(session: AsyncSession, run_id: uuid.UUID) -> SubmittedRun:
    """As the run was answered first, but for its state, which is that of today."""
    warning = and_(Event.run_id == Run.id, Event.kind == BUDGET_EVENT)
    columns = (Run.state, Run.worst_core_hours, Run.worst_gpu_hours, Event.text)
    query = select(*columns).join(Event, warning, isouter=True).where(Run.id == run_id).order_by(Event.id).limit(1)
    found = (await session.execute(query)).one()
    worst = hours_view(stored(found.worst_core_hours, found.worst_gpu_hours))
    warnings = [found.text] if found.text is not None else []
    return SubmittedRun(run_id=run_id, state=found.state, worst_case=worst, warnings=warnings)


async def given_config(body: SubmitRun) -> GivenConfig:
    """Never raises: who may not submit here is told that first. No transaction may be open, for it can take seconds."""
    given = body.backend_config
    if isinstance(given, str):
        return _read_config({"path": given})
    # A hostile config takes seconds to refuse.
    short = len(str(given)) <= QUICK
    return _read_config(dict(given)) if short else await asyncio.to_thread(_read_config, dict(given))


async def build(
    session: AsyncSession,
    settings: Settings,
    caller: Caller,
    project_id: uuid.UUID,
    body: SubmitRun,
    config: GivenConfig,
) -> Built:
    """A checked, unsaved run. Raises InvalidInput with every wrong field, Forbidden, TooMany."""
    await require(session, caller, project_id, "researcher")
    here = await _what_is_here(session, caller, project_id, body)
    problems = _repository_problems(body, here)
    connection, site = _connection(body, here, problems)
    problems += config.problems or _site_problems(config.read, site)
    if problems:
        raise InvalidInput("The run request is not valid.", problems=problems)
    assert connection is not None  # noqa: S101  else there is a problem
    assert site is not None  # noqa: S101
    if site.kind == "local" and not (settings.local_open or (caller.is_admin and settings.embedded)):
        raise Forbidden("Runs on the gateway's own machine are for its admin.", next_step="Use another connection.")
    _check_live(settings, here)
    worst = UNREAD if config.read is None else worst_case(config.read, site, connection.last_check or {})
    return Built(_row(caller, project_id, body, connection, config.stored), worst, here.guarded)


def _row(caller: Caller, project_id: uuid.UUID, body: SubmitRun, connection: Connection, config: dict[str, Any]) -> Run:
    run_id = uuid.uuid4()
    return Run(
        id=run_id,
        created_at=clock.now(),
        project_id=project_id,
        name=body.name,
        origin="submitted",
        created_by=caller.user_id,
        run_as=connection.owner_id,
        experiment_repository_id=body.experiment_repository_id,
        code_repository_id=body.code_repository_id,
        branch=body.branch,
        requested_commit=body.commit,
        data_repository_id=body.data_repository_id,
        data_branch=body.data_branch,
        data_commit=body.data_commit,
        connection_id=connection.id,
        site_id=connection.site_id,
        compute_budget_account=body.compute_budget_account,
        mlproject_path=body.mlflow_mlproject_file_path,
        entry_point=body.entry_point,
        parameters=dict(body.mlflow_parameters),
        backend_config=config,
        lineage_id=run_id,
        state=State.CREATED,
    )


@dataclass(frozen=True, slots=True)
class _Here:
    """What a request rests on, found by one statement."""

    experiment: bool
    code: bool
    guarded: bool
    """Whether the project's budget guard is on."""
    live_of_user: int
    live_of_project: int
    connections: list[tuple[Connection, Site | None]]
    """The one that the request names, else all with a site; only the caller's own."""


@lru_cache(maxsize=2)
def _question(*, named: bool) -> Select[Any]:
    """Built once: to build it takes longer than to ask it. `named`: the request names its connection."""
    user, project = bindparam("user", type_=Uuid), bindparam("project", type_=Uuid)
    experiment = exists().where(
        ExperimentRepository.id == bindparam("experiment"), ExperimentRepository.project_id == project
    )
    code = exists().where(CodeRepository.id == bindparam("code"), CodeRepository.project_id == project)
    own, here = Run.created_by == user, Run.project_id == project
    live = select(func.count().filter(own).label("own"), func.count().filter(here).label("here"))
    counts = live.where(Run.state.in_(LIVE), Run.origin == "submitted", own | here).subquery()
    asked = Connection.id == bindparam("connection") if named else Connection.site_id.is_not(None)
    mine = and_(Connection.owner_id == user, Connection.retired_at.is_(None), asked)
    guarded = exists().where(Budget.project_id == project, Budget.guard != Guard.OFF)
    return (
        select(experiment, code, guarded, counts.c.own, counts.c.here, Connection, Site)
        .select_from(counts)
        .join(Connection, mine, isouter=True)
        .join(Site, Site.id == Connection.site_id, isouter=True)
    )


async def _what_is_here(session: AsyncSession, caller: Caller, project_id: uuid.UUID, body: SubmitRun) -> _Here:
    who = {"user": caller.user_id, "project": project_id}
    what = {"experiment": body.experiment_repository_id, "code": body.code_repository_id}
    named = {"connection": body.connection_id} if body.connection_id is not None else {}
    rows = (await session.execute(_question(named=bool(named)), who | what | named)).all()
    has_experiment, has_code, is_guarded, of_user, of_project, _, _ = rows[0]
    connections = [(connection, site) for *_, connection, site in rows if connection is not None]
    return _Here(has_experiment, has_code, is_guarded, of_user, of_project, connections)


def _repository_problems(body: SubmitRun, here: _Here) -> list[FieldProblem]:
    problems = []
    if not here.experiment:
        text = "this project has no such experiment repository; see `mantik experiments list`"
        problems.append(FieldProblem("experimentRepositoryId", text))
    if body.code_repository_id is None:
        problems.append(FieldProblem("codeRepositoryId", "is required; see `mantik code list`"))
    elif not here.code:
        text = "this project has no such code repository; see `mantik code list`"
        problems.append(FieldProblem("codeRepositoryId", text))
    return problems


def _connection(
    body: SubmitRun, here: _Here, problems: list[FieldProblem]
) -> tuple[Connection, Site] | tuple[None, None]:
    """The connection and its site; else what is wrong goes to `problems`."""
    names = ", ".join(sorted(connection.name for connection, _ in here.connections))
    if len(here.connections) == 1:
        connection, site = here.connections[0]
        if site is not None:
            return connection, site
        text = f"{connection.name} is for {connection.origin}, not for a site that runs jobs"
    elif body.connection_id is not None:
        text = "you have no such connection; see `mantik connections list`. Another's cannot be used"
    elif names:
        text = f"is required; yours: {names}"
    else:
        text = "you have no connection; see `mantik connections create --help`"
    problems.append(FieldProblem("connectionId", text))
    return None, None


def _read_config(config: dict[str, Any]) -> GivenConfig:
    try:
        if config_path(config) is not None:
            return GivenConfig(config)
        return GivenConfig(config, parse_config_data(config, name="backendConfig").config)
    except InvalidConfig as error:
        found = [FieldProblem(f"backendConfig.{p.field}".rstrip("."), p.message) for p in error.problems]
        return GivenConfig(config, problems=tuple(found))
    except PlanRefused as error:
        return GivenConfig(config, problems=(FieldProblem("backendConfig", error.message),))


def _site_problems(config: ComputeBackendConfig | None, site: Site | None) -> list[FieldProblem]:
    if config is None or site is None:
        return []
    try:
        check_site(config, backend_site(site))
    except PlanRefused as error:
        return [FieldProblem("backendConfig", error.message)]
    return []


def _check_live(settings: Settings, here: _Here) -> None:
    limits = (
        (here.live_of_user, settings.max_live_runs_per_user, "You have"),
        (here.live_of_project, settings.max_live_runs_per_project, "The project has"),
    )
    for live, most, who in limits:
        if live >= most:
            raise TooMany(f"{who} {most} runs that have not ended.", next_step="Wait for some to end, or cancel them.")
