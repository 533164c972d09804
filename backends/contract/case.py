"""What the suite needs to know of a backend, and the steps its tests share."""

import asyncio
import gzip
import hashlib
import io
import itertools
import os
import tarfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from backends.backend import Backend, BackendKind, CredentialSource
from backends.contract.deeds import AppendsTo, Deed
from backends.errors import JobNotFound
from backends.spec import CodeBundle, Credential, Handle, JobRef, JobRequest, JobSpec, JobStatus, Phase, Site
from compute_backend_configs import ComputeBackendConfig, parse_config_data

MARK = "starts"
"""A file in outputs/ with one line per time that the code of the run began."""
_numbers = itertools.count()


class NoCredential:
    """For sites without a login."""

    async def get(self) -> Credential:
        return Credential(1, "none")

    async def refused(self, credential: Credential, text: str) -> None:
        raise AssertionError(f"the site refused a login that it does not ask for: {text}")


class BackendCase(ABC):
    """One kind of backend with a site to test it on. `patience` bounds every wait, in seconds."""

    kind: BackendKind
    site: Site
    patience: float = 60.0
    huge: int = 1 << 38
    """Bytes of a log, nearly all of them a hole, that cannot be read as a whole in this time."""
    account: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- what differs

    @abstractmethod
    def config(self, environment: Mapping[str, object]) -> Mapping[str, object]:
        """A compute backend config, as data, with this `Environment`."""

    @abstractmethod
    def command(self, *deeds: Deed) -> str:
        """A command that does all this in turn."""

    @abstractmethod
    async def release(self, handle: Handle, name: str) -> None:
        """Make `outputs/<name>` of the run, from outside of the job."""

    @abstractmethod
    async def copies(self, handle: Handle, count: int) -> Sequence[int]:
        """Start the attempt's job script so many times at once, past `start`, as a site that duplicates a job does.
        The exit codes of the copies."""

    def credentials(self) -> CredentialSource:
        return NoCredential()

    # -- what the tests share

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Backend]:
        """A connection of a gateway of its own."""
        async with self.kind.open(self.site, self.credentials()) as backend:
            yield backend

    def bundle(self, files: Mapping[str, bytes] | None = None) -> CodeBundle:
        """A small project."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, data in (files or {"MLproject": b"name: contract\n", "data/input.txt": b"one\n"}).items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        data = gzip.compress(packed.getvalue(), mtime=0)
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / f"{digest}.tar.gz"
        if not path.exists():  # another run of the test may be reading it
            path.write_bytes(data)
        return CodeBundle(digest, path, len(data))

    def request(self, command: str, environment: Mapping[str, object] | None = None) -> JobRequest:
        config: ComputeBackendConfig = parse_config_data(dict(self.config(environment or {}))).config
        run_id = str(uuid.uuid4())
        return JobRequest(run_id, run_id, f"contract {next(_numbers)}", command, ".", config, self.account, "0123abc")

    def spec(
        self,
        *deeds: Deed,
        secrets: Mapping[str, str] | None = None,
        environment: Mapping[str, object] | None = None,
    ) -> JobSpec:
        """A run that marks its start and then does the deeds."""
        request = self.request(self.command(AppendsTo(MARK), *deeds), environment)
        job = self.kind.render(request)
        return JobSpec(request.run_id, 1, request.name, request.lineage_id, job, self.bundle(), secrets or {})

    async def prepared(self, backend: Backend, spec: JobSpec) -> Handle:
        await backend.stage(spec.code)
        return await backend.prepare(spec)

    async def started(self, backend: Backend, *deeds: Deed, secrets: Mapping[str, str] | None = None) -> JobRef:
        return await backend.start(await self.prepared(backend, self.spec(*deeds, secrets=secrets)))

    async def until(self, backend: Backend, ref: JobRef, *phases: Phase) -> JobStatus:
        """Poll until the job is in one of the phases."""
        end = time.monotonic() + self.patience
        while True:
            status = (await backend.poll([ref]))[ref]
            if status.phase in phases:
                return status
            assert time.monotonic() < end, f"{ref.id} is {status.phase} ({status.site_state}), not {phases}"
            await asyncio.sleep(0.05)

    async def ended(self, backend: Backend, *deeds: Deed, secrets: Mapping[str, str] | None = None) -> JobStatus:
        """Run the deeds to their end."""
        ref = await self.started(backend, *deeds, secrets=secrets)
        return await self.until(backend, ref, Phase.ENDED)

    async def running(self, backend: Backend, ref: JobRef) -> None:
        """Wait until the code of the run has begun."""
        end = time.monotonic() + self.patience
        while not await self.starts(backend, ref.handle):
            assert time.monotonic() < end, f"{ref.id} did not begin"
            await asyncio.sleep(0.05)

    async def starts(self, backend: Backend, handle: Handle) -> int:
        """How often the code of the run began."""
        with suppress(JobNotFound):
            return (await backend.read(handle, f"outputs/{MARK}", 0, 1 << 16, area="run")).count(b"\n")
        return 0

    def next_attempt(self, spec: JobSpec) -> JobSpec:
        return replace(spec, attempt=spec.attempt + 1)


class HostCase(BackendCase):
    """A site whose files this process can reach, too: this machine, or a test cluster beside it."""

    def command(self, *deeds: Deed) -> str:
        return "\n".join(deed.shell() for deed in deeds)

    async def release(self, handle: Handle, name: str) -> None:
        Path(handle.location).parent.joinpath("outputs", name).touch()

    async def copies(self, handle: Handle, count: int) -> Sequence[int]:
        """Each as a process of its own, in the attempt's directory."""
        log = os.open(Path(handle.location, "copies.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            processes = [
                await asyncio.create_subprocess_exec(
                    *("bash", "job.sh"), cwd=handle.location, env=self.surroundings(), stdout=log, stderr=log
                )
                for _ in range(count)
            ]
            return [await process.wait() for process in processes]
        finally:
            os.close(log)

    def surroundings(self) -> Mapping[str, str]:
        """The environment of a copy that we start ourselves."""
        return {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
