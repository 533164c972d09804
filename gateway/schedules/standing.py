"""Whether a schedule may fire now: membership, role, connection, account and credential of its owner, read anew."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import aliased

from gateway.budgets.cost import WorstCase, stored
from gateway.budgets.guard import Guard
from gateway.budgets.rows import Budget
from gateway.connections.rows import Connection, CredentialVersion
from gateway.projects.access import at_least
from gateway.projects.rows import Member
from gateway.repositories.rows import CodeRepository
from gateway.runs.rows import Run
from gateway.schedules.rows import Schedule
from gateway.schedules.words import Reason
from gateway.schemas.projects import Role
from gateway.settings import Settings
from gateway.sites.rows import Site
from gateway.users.rows import User

RunAs = aliased(User)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The row of a schedule, as far as a firing rests on it."""

    id: uuid.UUID
    project_id: uuid.UUID
    name: str
    run_as: uuid.UUID
    connection_id: uuid.UUID
    compute_budget_account: str | None
    follow_branch: bool
    consent: Mapping[str, Any] | None
    expression: str
    zone: str
    starts_at: datetime | None
    ends_at: datetime | None
    overlap: str
    misfire: str
    misfire_most: int
    grace_seconds: int
    max_failures: int
    failures: int
    next_at: datetime | None
    due_at: datetime | None
    late_from: datetime | None
    late_until: datetime | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """The row of the run that is repeated."""

    id: uuid.UUID
    name: str
    branch: str | None
    commit: str | None
    requested_commit: str | None
    deleted_at: datetime | None
    delete_requested_at: datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a firing rests on, as it is in this transaction."""

    run: Repeated
    code_uri: str | None
    connection_name: str
    connection_version: int
    owner_name: str
    owner_is_admin: bool
    owner_disabled_at: datetime | None
    role: Role | None
    site_id: uuid.UUID | None
    site_name: str | None
    site_kind: str | None
    retired_at: datetime | None
    last_check: Mapping[str, Any] | None
    refused_at: datetime | None
    valid_until: datetime | None
    worst_core_hours: float | None
    worst_gpu_hours: float | None
    guard: str | None

    @property
    def worst(self) -> WorstCase:
        """What a repetition may cost at most: as the run that is repeated."""
        return stored(self.worst_core_hours, self.worst_gpu_hours)

    @property
    def guarded(self) -> bool:
        """Whether the project's budget guard is on."""
        return self.guard not in (None, Guard.OFF)


_SCHEDULE = tuple(field.name for field in fields(Scheduled))
_RUN = tuple(field.name for field in fields(Repeated))


@dataclass(frozen=True, slots=True)
class Problem:
    """Why no run may be made, in one sentence for its owner."""

    reason: Reason
    text: str


def with_facts() -> "Select[*tuple[Any, ...]]":
    """Schedules, each with all that `facts_of` makes of it. Plain columns: they are many at once."""
    version = and_(CredentialVersion.connection_id == Connection.id, CredentialVersion.version == Connection.version)
    member = and_(Member.project_id == Schedule.project_id, Member.user_id == Schedule.run_as)
    return (
        select(
            *(getattr(Schedule, name) for name in _SCHEDULE),
            *(getattr(Run, name) for name in _RUN),
            CodeRepository.uri,
            Connection.name,
            Connection.version,
            RunAs.name,
            RunAs.is_admin,
            RunAs.disabled_at,
            Member.role,
            Connection.site_id,
            Site.name,
            Site.kind,
            Connection.retired_at,
            Connection.last_check,
            CredentialVersion.refused_at,
            CredentialVersion.valid_until,
            Run.worst_core_hours,
            Run.worst_gpu_hours,
            Budget.guard,
        )
        .select_from(Schedule)
        .join(Run, Run.id == Schedule.run_id)
        .join(Connection, Connection.id == Schedule.connection_id)
        .join(RunAs, RunAs.id == Schedule.run_as)
        .join(CodeRepository, CodeRepository.id == Run.code_repository_id, isouter=True)
        .join(Site, Site.id == Connection.site_id, isouter=True)
        .join(Member, member, isouter=True)
        .join(CredentialVersion, version, isouter=True)
        .join(Budget, Budget.project_id == Schedule.project_id, isouter=True)
    )


def facts_of(row: Sequence[Any]) -> tuple[Scheduled, Facts]:
    run_from, rest = len(_SCHEDULE), len(_SCHEDULE) + len(_RUN)
    return Scheduled(*row[:run_from]), Facts(Repeated(*row[run_from:rest]), *row[rest:])


def standing_problem(schedule: Scheduled, facts: Facts, settings: Settings) -> Problem | None:
    """What stays until somebody acts; None when nothing stands against it."""
    owner = facts.owner_name
    if facts.run.deleted_at is not None or facts.run.delete_requested_at is not None:
        return Problem(Reason.RUN_DELETED, f"The run {facts.run.name} that it repeats was deleted.")
    if facts.owner_disabled_at is not None:
        return Problem(Reason.USER_DISABLED, f"{owner}, whose connection it uses, was disabled.")
    if facts.role is None:
        return Problem(Reason.NOT_A_MEMBER, f"{owner}, whose connection it uses, is no member of the project.")
    if not at_least(facts.role, "researcher"):
        return Problem(Reason.ROLE_TOO_LOW, f"{owner}, whose connection it uses, has the role {facts.role} now.")
    if facts.retired_at is not None or facts.site_id is None:
        return Problem(Reason.CONNECTION_DROPPED, f"Its connection was dropped by {owner}.")
    if facts.site_kind == "local" and not may_run_here(settings, is_admin=facts.owner_is_admin):
        return Problem(Reason.LOCAL_FORBIDDEN, f"{owner} may not run on the gateway's own machine.")
    if (text := account_problem(schedule.compute_budget_account, facts.last_check)) is not None:
        return Problem(Reason.ACCOUNT_REFUSED, text)
    if schedule.follow_branch and (schedule.consent or {}).get("text") != consent_sentence(
        facts.run.branch, facts.code_uri, facts.connection_name, schedule.compute_budget_account
    ):
        return Problem(Reason.CONSENT_OUTDATED, "What its owner agreed to is not what it would run now.")
    return None


def login_problem(facts: Facts, now: datetime) -> Problem | None:
    """A credential that a new version of it would cure."""
    if facts.refused_at is not None:
        return Problem(Reason.NEEDS_LOGIN, f"The site refused the credential of {facts.connection_name}.")
    if facts.valid_until is not None and facts.valid_until <= now:
        return Problem(Reason.NEEDS_LOGIN, f"The credential of {facts.connection_name} has ended.")
    return None


def may_run_here(settings: Settings, *, is_admin: bool) -> bool:
    """Whether a user may run on the gateway's own machine."""
    return settings.local_open or (is_admin and settings.embedded)


def account_problem(account: str | None, last_check: Mapping[str, Any] | None) -> str | None:
    """Whether the last check of the connection told the accounts, and this is none of them."""
    info = last_check or {}
    info = info.get("site") or info.get("info") or info
    names = sorted({str(known["name"]) for known in info.get("accounts") or []})
    if account is None or not names or account in names:
        return None
    return f"computeBudgetAccount: {account!r} may not be billed there. The connection has: {', '.join(names)}."


def consent_sentence(branch: str | None, uri: str | None, connection: str, account: str | None) -> str:
    """What the owner of a connection writes to let a schedule follow a branch."""
    billed = f"bills {account}" if account else "bills the site's default account"
    return (
        f"Whoever can push to the branch {branch} of {uri} runs code on the site with my connection {connection} "
        f"and {billed}."
    )
