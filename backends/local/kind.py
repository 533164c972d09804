"""What the entry point `local` names."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from backends.backend import Backend, CredentialSource
from backends.errors import InvalidJob
from backends.job_script import render_script
from backends.local.backend import LocalBackend
from backends.reasons import Reason
from backends.spec import JobRequest, RenderedJob, Site

_NO_MEANING = ("nodes", "qos", "reservation", "node_constraints", "memory_per_node", "gpus_per_node", "total_cpus")


class LocalKind:
    """Jobs as processes of the gateway's own account; for demonstrations, tests and a workstation of one's own."""

    name = "local"

    def render(self, request: JobRequest) -> RenderedJob:
        resources = request.config.resources
        nodes = resources.nodes if resources else None
        if nodes is not None and nodes > 1:
            message = f"Resources.Nodes: {nodes} asked, and this machine is one. Leave it out, or choose another site."
            raise InvalidJob(message, reason=Reason.INVALID_CONFIG)
        ignored = [name for name in _NO_MEANING if resources is not None and getattr(resources, name) is not None]
        warnings = [f"Resources: {', '.join(_published(n) for n in ignored)} has no meaning on this machine."]
        seconds = resources.runtime.seconds if resources and resources.runtime else 0
        submit = ("timeout", str(seconds), "bash", "job.sh") if seconds else ("bash", "job.sh")
        near = replace(request, local_tracking=False)  # the gateway is on this machine
        return RenderedJob.of(near, render_script(near), submit, tuple(warnings) if ignored else ())

    def open(self, site: Site, credentials: CredentialSource) -> AbstractAsyncContextManager[Backend]:
        return _open(site)


def _published(name: str) -> str:
    return (
        "QoS"
        if name == "qos"
        else "".join(w.title() for w in name.split("_")).replace("Cpu", "CPU").replace("Gpu", "GPU")
    )


@asynccontextmanager
async def _open(site: Site) -> AsyncIterator[Backend]:
    backend = LocalBackend(site)
    try:
        yield backend
    finally:
        await backend.aclose()
