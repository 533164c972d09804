"""From a run request to exactly what is submitted: commit, entry point, config, site, script. Submits nothing."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backends.backend import BackendKind
from backends.errors import AuthenticationFailed, InvalidJob
from backends.reasons import Reason
from backends.spec import CodeBundle, Credential, JobRequest, RenderedJob, Site
from compute_backend_configs import ComputeBackendConfig, InvalidConfig, LoadedConfig, parse_config, parse_config_data
from gateway.budgets.admission import Refused, admit_stored
from gateway.budgets.cost import UNREAD, WorstCase, worst_case
from gateway.connections.credentials import StoredCredentials
from gateway.connections.rows import Connection
from gateway.db.session import Database
from gateway.errors import InvalidInput
from gateway.git import GitError, GitLogin, GitStore, Source
from gateway.mlproject import EntryPointCommand, InvalidProject, ProjectReader
from gateway.projects.rows import Member
from gateway.repositories.rows import CodeRepository
from gateway.repositories.uri import check_git_uri
from gateway.runs.limits import check_limits
from gateway.runs.rows import Manifest, Run
from gateway.secrets.vault import Vault
from gateway.sites.advice import warnings as site_warnings
from gateway.sites.rows import Site as SiteRow
from gateway.sites.service import backend_site
from gateway.together import Together
from gateway.users.rows import User

_Row = TypeVar("_Row", CodeRepository, Connection, SiteRow)
THIS_MACHINE = "this machine"


class PlanRefused(Exception):
    """The run can never be submitted as it is: the reason, and one sentence that names field and next step."""

    def __init__(self, reason: Reason, message: str, *, text: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.text = text


class PlanDelayed(Exception):
    """Something needed for the plan does not answer now; a retry may help."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of a submission that is fixed before the first attempt."""

    commit: str
    command: str
    config: dict[str, Any]
    job: RenderedJob
    bundle: CodeBundle
    site: SiteRow
    warnings: tuple[str, ...]
    worst: WorstCase = UNREAD
    """What it may cost."""


_Named = tuple[CodeRepository | None, Connection | None, SiteRow | None]
"""What a run names."""


@dataclass(slots=True)
class Planner:
    """Plans runs; every door it needs is handed in."""

    db: Database
    vault: Vault
    git: GitStore
    projects: ProjectReader
    kind_of: Callable[[str], BackendKind]
    _named: Together[Run, _Named] = field(init=False)

    def __post_init__(self) -> None:
        self._named = Together(self._all_named)

    async def aclose(self) -> None:
        """Wait for what was begun."""
        await self._named.aclose()

    async def _all_named(self, runs: Sequence[Run]) -> list[_Named]:
        async with self.db.reading() as session:
            codes = await _by_id(session, CodeRepository, {run.code_repository_id for run in runs})
            connections = await _by_id(session, Connection, {run.connection_id for run in runs})
            sites = await _by_id(session, SiteRow, {run.site_id for run in runs})
        return [
            (codes.get(run.code_repository_id), connections.get(run.connection_id), sites.get(run.site_id))
            for run in runs
        ]

    async def plan(self, run: Run) -> Plan:
        """Raises PlanRefused or PlanDelayed."""
        code, connection, site = await self._named(run)
        if code is None or connection is None or site is None:
            raise PlanRefused(Reason.INVALID_CONFIG, "The run's code repository, connection or site is gone.")
        source = await self._source(code)
        commit = await self._commit(run, source)
        loaded = await self._config(run, source, commit)
        check_site(loaded.config, backend_site(site))
        bundle = await self._bundle(source, commit, loaded.config)
        entry = await self._entry_point(run, bundle)
        job = self._render(run, commit, entry, loaded.config, site)
        limits = check_limits(loaded.config, run.compute_budget_account, connection.last_check or {})
        if limits is not None:
            raise PlanRefused(*limits)
        worst = worst_case(loaded.config, site, connection.last_check or {})
        await self._admit(run, worst)
        known = site_warnings(site, loaded.config, connection.last_check or {})
        warnings = (*map(str, loaded.warnings), *entry.warnings, *job.warnings, *known)
        return Plan(commit, entry.command, loaded.config.to_published(), job, bundle, site, warnings, worst)

    async def _admit(self, run: Run, worst: WorstCase) -> None:
        """What a request says itself was judged when it came in; a file of the repository was not."""
        if config_path(run.backend_config) is None:
            return
        try:
            await admit_stored(self.db, run, worst)
        except Refused as refused:
            message = f"The budget guard of the project refuses the run: {refused.verdict.text}."
            raise PlanRefused(Reason.BUDGET_REFUSED, message) from None

    async def bundle_again(self, run: Run, manifest: Manifest) -> CodeBundle:
        """The code of a manifest, from the cache or made anew. Raises PlanRefused when its bytes differ."""
        if (kept := self.git.kept(manifest.code_sha256)) is not None:
            return kept
        async with self.db.reading() as session:
            code = await session.get(CodeRepository, run.code_repository_id)
        if code is None:
            raise PlanRefused(Reason.CODE_NOT_FOUND, "The run's code repository is gone.")
        source = await self._source(code)
        await self._commit(run, source)
        bundle = await self._bundle(source, manifest.commit, parse_config_data(manifest.config).config)
        if bundle.sha256 != manifest.code_sha256:
            message = f"The code of commit {manifest.commit[:12]} has other bytes than when the run was planned."
            raise PlanRefused(Reason.CODE_NOT_FOUND, message)
        return bundle

    async def _source(self, code: CodeRepository) -> Source:
        try:
            # A URI that was taken by an older gateway, or with other settings, is none of today's for that.
            allowed = self.git.hosts.allowed
            check_git_uri(code.uri, allowed_hosts=allowed, local_allowed=self.git.local_paths_allowed)
        except InvalidInput as error:
            raise PlanRefused(Reason.CODE_NOT_FOUND, f"Code repository {code.name}: {error.detail}") from None
        if code.connection_id is None:
            return Source(code.uri, cache_key(None))
        async with self.db.reading() as session:
            connection = await session.get(Connection, code.connection_id)
            owner = await session.get(User, connection.owner_id) if connection is not None else None
            member = await session.get(Member, (code.project_id, owner.id)) if owner is not None else None
        if owner is None or owner.disabled_at is not None or member is None:
            raise PlanRefused(
                Reason.CODE_NOT_FOUND,
                f"Code repository {code.name} is opened by a connection of somebody who is no longer in the project. "
                "Give the repository a connection of your own.",
            )
        try:
            credential = await StoredCredentials(self.db, self.vault, code.connection_id).get()
        except AuthenticationFailed as error:
            raise PlanRefused(Reason.CODE_NOT_FOUND, f"Code repository {code.name}: {error.message}") from None
        if connection is not None and connection.origin and not same_origin(connection.origin, code.uri):
            raise PlanRefused(
                Reason.CODE_NOT_FOUND,
                f"Code repository {code.name} is at {code.uri}, and its connection is for {connection.origin}. "
                "Give the repository a connection for its own host.",
            )
        return Source(code.uri, cache_key(code.connection_id), git_login(credential))

    async def _commit(self, run: Run, source: Source) -> str:
        try:
            return await self.git.resolve(source, branch=run.branch, commit=run.commit or run.requested_commit)
        except GitError as error:
            if error.temporary:
                raise PlanDelayed(error.message) from None
            raise PlanRefused(Reason.CODE_NOT_FOUND, error.message, text=error.text) from None

    async def _config(self, run: Run, source: Source, commit: str) -> LoadedConfig:
        try:
            path = config_path(run.backend_config)
            if path is None:
                return parse_config_data(run.backend_config, name="backendConfig")
            text = await self.git.read(source, commit, path)
            if text is None:
                message = f"backendConfig: there is no file {path!r} in the repository at commit {commit[:12]}."
                raise PlanRefused(Reason.INVALID_CONFIG, message)
            # A hostile megabyte takes seconds to refuse.
            return await asyncio.to_thread(parse_config, text.decode("utf-8"), name=path)
        except InvalidConfig as error:
            raise PlanRefused(Reason.INVALID_CONFIG, f"The compute backend config is not valid. {error}") from None
        except GitError as error:
            raise PlanRefused(Reason.INVALID_CONFIG, f"backendConfig: {error.message}", text=error.text) from None
        except UnicodeDecodeError:
            raise PlanRefused(Reason.INVALID_CONFIG, f"backendConfig: {path} is not UTF-8 text.") from None

    async def _bundle(self, source: Source, commit: str, config: ComputeBackendConfig) -> CodeBundle:
        try:
            return await self.git.bundle(source, commit, config.exclude)
        except GitError as error:
            raise PlanRefused(Reason.CODE_NOT_FOUND, error.message, text=error.text) from None

    async def _entry_point(self, run: Run, bundle: CodeBundle) -> EntryPointCommand:
        try:
            return await self.projects.command(bundle.path, run.mlproject_path, run.entry_point, run.parameters)
        except InvalidProject as error:
            raise PlanRefused(Reason.INVALID_CONFIG, str(error)) from None

    def _render(
        self, run: Run, commit: str, entry: EntryPointCommand, config: ComputeBackendConfig, site: SiteRow
    ) -> RenderedJob:
        request = JobRequest(
            run_id=str(run.id),
            lineage_id=str(run.lineage_id),
            name=run.name,
            command=entry.command,
            project_path=entry.project_path,
            config=config,
            account=run.compute_budget_account,
            git_ref=commit,
            raw_jobs_allowed=site.raw_jobs_allowed,
            local_tracking=(config.tracking or site.tracking) == "local",
        )
        try:
            return self.kind_of(site.kind).render(request)
        except InvalidJob as error:
            raise PlanRefused(error.reason, error.message, text=error.text) from None


async def _by_id(session: AsyncSession, table: type[_Row], ids: Collection[UUID | None]) -> dict[UUID | None, _Row]:
    found = await session.scalars(select(table).where(table.id.in_(ids)))
    return {row.id: row for row in found}


def cache_key(connection_id: UUID | None) -> str:
    """Whose mirror of a repository it is."""
    return str(connection_id) if connection_id is not None else "anonymous"


def config_path(given: dict[str, Any]) -> str | None:
    """The path of the config in the repository, when the run names a file; None when the config itself is given."""
    if set(given) != {"path"}:
        return None
    path = PurePosixPath(str(given["path"]))
    if path.is_absolute() or ".." in path.parts:
        raise PlanRefused(Reason.INVALID_CONFIG, f"backendConfig: {str(path)!r} must be a path inside the repository.")
    return str(path)


def check_site(config: ComputeBackendConfig, site: Site) -> None:
    """A config in git must not send a credential elsewhere: it names the connection's own site, or is refused."""
    named, own = _named_site(config), _own_site(config, site)
    if named != own:
        raise PlanRefused(
            Reason.INVALID_CONFIG,
            f"The config is for {named}, and the connection is for {own}. "
            "Choose a connection of that site, or change the config.",
        )


def _own_site(config: ComputeBackendConfig, site: Site) -> str:
    if config.kind == "site":
        return site.name
    if site.kind == "local":
        return THIS_MACHINE
    return site.url.rstrip("/") if site.url else f"{site.host}:{site.port or 22}"


def _named_site(config: ComputeBackendConfig) -> str:
    if config.ssh is not None:
        return f"{config.ssh.hostname}:{config.ssh.port}"
    if config.unicore_api_url is not None:
        return str(config.unicore_api_url).rstrip("/")
    if config.firecrest is not None:
        return str(config.firecrest.api_url).rstrip("/")
    return str(config.site) if config.site is not None else THIS_MACHINE


def same_origin(origin: str, uri: str) -> bool:
    """Whether a git URI (also `user@host:path`) lies at an origin `scheme://host[:port]`."""
    here = uri if "://" in uri else f"ssh://{uri.replace(':', '/', 1)}"
    one, other = urlsplit(origin), urlsplit(here)
    return (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port)


def git_login(credential: Credential) -> GitLogin | None:
    """A credential as git takes it. A token is a password for any user name."""
    if credential.method == "ssh-key":
        return GitLogin(credential.login_name or "git", private_key=credential.secret)
    if credential.method in ("password", "token"):
        return GitLogin(credential.login_name or "oauth2", password=credential.secret)
    return None
