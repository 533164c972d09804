"""The kind of site `unicore`: what the entry point `mantik.backends` names."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from backends.backend import Backend, CredentialSource
from backends.spec import JobRequest, Method, RenderedJob, Site
from backends.unicore.backend import UnicoreBackend
from backends.unicore.credentials import PREFERENCES
from backends.unicore.description import describe
from backends.unicore.raw import script
from backends.unicore.transport import Channel


class UnicoreKind:
    """See `backends.backend.BackendKind` and `backends.backend.LoginRules`."""

    name = "unicore"
    methods: Sequence[Method] = ("password", "token", "oidc", "ssh-key")
    preferences: Sequence[str] = PREFERENCES

    def render(self, request: JobRequest) -> RenderedJob:
        description = describe(request, raw_allowed=request.raw_jobs_allowed)
        return RenderedJob.of(request, script(request), description.words, description.warnings)

    def open(self, site: Site, credentials: CredentialSource) -> AbstractAsyncContextManager[Backend]:
        return _opened(site, credentials)


@asynccontextmanager
async def _opened(site: Site, credentials: CredentialSource) -> AsyncIterator[Backend]:
    backend = UnicoreBackend(Channel(site, credentials), site)
    try:
        yield backend
    finally:
        await backend.aclose()
