"""The kind of site that a test opens."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

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
        kept = replace(request, local_tracking=request.local_tracking and self.site.tracks)
        return RenderedJob.of(kept, request.command.encode(), ("submit",))

    def open(self, site: Site, credentials: CredentialSource) -> AbstractAsyncContextManager[Backend]:
        return _opened(self.site)


@asynccontextmanager
async def _opened(site: FakeSite) -> AsyncIterator[Backend]:
    yield FakeBackend(site)
