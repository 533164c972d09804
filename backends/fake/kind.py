"""The kind of site that a test opens."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from backends.backend import Backend, CredentialSource
from backends.fake.backend import FakeBackend
from backends.fake.site import FakeSite
from backends.spec import JobRequest, RenderedJob, Site


class FakeKind:
    """See `backends.backend.BackendKind`. All connections go to one fake site; the script is the command."""

    def __init__(self, site: FakeSite, name: str = "fake") -> None:
        self.site = site
        self.name = name

    def render(self, request: JobRequest) -> RenderedJob:
        environment = request.config.environment
        return RenderedJob(
            script=request.command.encode(),
            submit_command=("submit",),
            login_commands_before=environment.pre_run_command_on_login_node,
            login_commands_after=environment.post_run_command_on_login_node,
            project_path=request.project_path,
            git_ref=request.git_ref,
        )

    def open(self, site: Site, credentials: CredentialSource) -> AbstractAsyncContextManager[Backend]:
        return _opened(self.site)


@asynccontextmanager
async def _opened(site: FakeSite) -> AsyncIterator[Backend]:
    yield FakeBackend(site)
