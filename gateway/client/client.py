"""The clients: one for programs without asyncio, one with."""

import os
from pathlib import Path
from typing import Self

from gateway.client import address
from gateway.client.api_tokens import ApiTokens, AsyncApiTokens
from gateway.client.drivers import AsyncDriver, Driver
from gateway.client.kinds import PROJECT, at
from gateway.client.listings import AsyncListing, Listing
from gateway.client.names import Ref
from gateway.client.project import AsyncProject, Project
from gateway.client.retries import Retries
from gateway.client.session import Session
from gateway.client.sites import AsyncConnections, AsyncSites, Connections, Sites
from gateway.client.subscriptions import AsyncSubscriptions, Subscriptions
from gateway.client.users import AsyncUsers, Users
from gateway.schemas.projects import CreateProject, ProjectView
from gateway.schemas.users import Me


def _session(
    api_url: str | None,
    username: str | None,
    password: str | None,
    token: str | None,
    retries: Retries | None,
    token_directory: Path | None,
) -> Session:
    url = address.api_url(api_url)
    login = address.login(username, password)
    return Session(url, login, token=token, retries=retries, token_directory=token_directory)


def _default_project(given: Ref | None) -> Ref | None:
    return given or os.environ.get("MANTIK_PROJECT_ID") or None


class Client:
    """A gateway at `api_url` (or MANTIK_API_URL), as the user of MANTIK_USERNAME and MANTIK_PASSWORD, of `mantik
    login`, or of a `token`. Errors are the classes of `gateway.errors`. `project` (or MANTIK_PROJECT_ID), an id or a
    name, is the one that `runs`, `schedules`, `models`, `experiments`, `code`, `members` and `retention` belong to."""

    def __init__(
        self,
        api_url: str | None = None,
        *,
        project: Ref | None = None,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        retries: Retries | None = None,
        token_directory: Path | None = None,
    ) -> None:
        self._session = _session(api_url, username, password, token, retries, token_directory)
        self._driver = Driver(self._session)
        self.projects: Listing[ProjectView, CreateProject] = Listing(self._driver, PROJECT, at("/projects"))
        self.sites = Sites(self._driver)
        self.connections = Connections(self._driver)
        self.subscriptions = Subscriptions(self._driver)
        self.tokens = ApiTokens(self._driver)
        self.users = Users(self._driver)
        here = self.project(_default_project(project))
        self.runs, self.experiments, self.code = here.runs, here.experiments, here.code
        self.members, self.schedules, self.models = here.members, here.schedules, here.models
        self.retention = here.retention
        self.budget = here.budget

    @property
    def api_url(self) -> str:
        return self._session.api_url

    @property
    def tracking_uri(self) -> str | None:
        """MLFLOW_TRACKING_URI for an MLflow client; it takes an API token as MLFLOW_TRACKING_TOKEN and has no pages."""
        return address.tracking_uri(self.api_url)

    def project(self, ref: Ref | None) -> Project:
        """What belongs to another project."""
        return Project(self._driver, ref)

    def me(self) -> Me:
        return self._driver.run(self._session.me())

    def login(self, username: str, password: str) -> Me:
        """Log in and keep the tokens in a file that only you can read; the password is not kept."""
        return self._driver.run(self._session.log_in(username, password))

    def logout(self) -> bool:
        """Forget the stored login; whether there was one."""
        return self._session.log_out()

    def close(self) -> None:
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """As `Client`, with coroutines and asynchronous iterators."""

    def __init__(
        self,
        api_url: str | None = None,
        *,
        project: Ref | None = None,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        retries: Retries | None = None,
        token_directory: Path | None = None,
    ) -> None:
        self._session = _session(api_url, username, password, token, retries, token_directory)
        self._driver = AsyncDriver(self._session)
        self.projects: AsyncListing[ProjectView, CreateProject] = AsyncListing(self._driver, PROJECT, at("/projects"))
        self.sites = AsyncSites(self._driver)
        self.connections = AsyncConnections(self._driver)
        self.subscriptions = AsyncSubscriptions(self._driver)
        self.tokens = AsyncApiTokens(self._driver)
        self.users = AsyncUsers(self._driver)
        here = self.project(_default_project(project))
        self.runs, self.experiments, self.code = here.runs, here.experiments, here.code
        self.members, self.schedules, self.models = here.members, here.schedules, here.models
        self.retention = here.retention
        self.budget = here.budget

    @property
    def api_url(self) -> str:
        return self._session.api_url

    @property
    def tracking_uri(self) -> str | None:
        return address.tracking_uri(self.api_url)

    def project(self, ref: Ref | None) -> AsyncProject:
        """What belongs to another project."""
        return AsyncProject(self._driver, ref)

    async def me(self) -> Me:
        return await self._driver.run(self._session.me())

    async def login(self, username: str, password: str) -> Me:
        """Log in and keep the tokens in a file that only you can read; the password is not kept."""
        return await self._driver.run(self._session.log_in(username, password))

    def logout(self) -> bool:
        """Forget the stored login; whether there was one."""
        return self._session.log_out()

    async def close(self) -> None:
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
