"""The kind of site `slurm`: what the entry point `mantik.backends` names."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files

from backends.backend import Backend, CredentialSource
from backends.batch_script.directives import directives
from backends.job_script import render_script
from backends.slurm.backend import SlurmBackend
from backends.slurm.scheduler import SlurmScheduler
from backends.slurm.ssh.shell import SshShell
from backends.spec import JobRequest, RenderedJob, Site


class SlurmKind:
    """See `backends.backend.BackendKind`."""

    name = "slurm"

    def render(self, request: JobRequest) -> RenderedJob:
        return RenderedJob.of(request, render_script(request, directives(request)), ("sbatch", "--parsable", "job.sh"))

    def open(self, site: Site, credentials: CredentialSource) -> AbstractAsyncContextManager[Backend]:
        return _opened(site, credentials)


@asynccontextmanager
async def _opened(site: Site, credentials: CredentialSource) -> AsyncIterator[Backend]:
    entry = files("backends.host").joinpath("entry.sh").read_bytes()
    backend = SlurmBackend(SshShell(site, credentials, entry), SlurmScheduler(), site)
    try:
        yield backend
    finally:
        await backend.aclose()


kind = SlurmKind()
