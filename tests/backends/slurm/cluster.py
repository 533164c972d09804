"""One connection to the real cluster, and jobs on it as a gateway would make them."""

import asyncio
import gzip
import hashlib
import io
import tarfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from backends.host.shell import Completed, Shell
from backends.slurm import kind
from backends.slurm.backend import SlurmBackend
from backends.spec import CodeBundle, Handle, JobRef, JobSpec, JobStatus, Phase
from tests.backends.slurm.requests import request
from tests.site_fixtures import SlurmSite


class RecordingShell:
    """Passes everything on, and keeps which commands were run."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.commands: list[tuple[str, ...]] = []

    async def run(self, verb: str, *words: str, stdin: bytes = b"", time_limit: float = 60) -> Completed:
        self.commands.append((verb, *words))
        return await self._shell.run(verb, *words, stdin=stdin, time_limit=time_limit)

    async def aclose(self) -> None:
        await self._shell.aclose()

    def count(self, program: str) -> int:
        return sum(program in command for command in self.commands)


@dataclass
class Cluster:
    """What a test of the real Slurm needs."""

    site: SlurmSite
    backend: SlurmBackend
    shell: RecordingShell
    code: CodeBundle

    async def prepare(
        self,
        command: str,
        resources: Mapping[str, object] | None = None,
        environment: Mapping[str, object] | None = None,
        account: str | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> Handle:
        run_id = uuid.uuid4().hex
        wanted = {"Runtime": "5m", **(resources or {})}
        job = kind.render(request(command, wanted, environment, account, run_id))
        await self.backend.stage(self.code)
        return await self.backend.prepare(JobSpec(run_id, 1, "test", run_id, job, self.code, dict(secrets or {})))

    async def submit(self, command: str, **wanted: object) -> JobRef:
        return await self.backend.start(await self.prepare(command, **wanted))  # type: ignore[arg-type]

    async def status(self, ref: JobRef) -> JobStatus:
        return (await self.backend.poll([ref]))[ref]

    async def until(self, ref: JobRef, wanted: Callable[[JobStatus], bool], seconds: float = 60) -> JobStatus:
        """Poll until the status is as wanted; the last one is in the failure."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            status = await self.status(ref)
            if wanted(status):
                return status
            assert asyncio.get_running_loop().time() < deadline, status
            await asyncio.sleep(0.1)

    async def running(self, ref: JobRef) -> JobStatus:
        """Running, and past the fence."""
        return await self.until(ref, lambda status: status.phase is Phase.RUNNING and status.fence is not None)

    async def ended(self, ref: JobRef, seconds: float = 60) -> JobStatus:
        return await self.until(ref, lambda status: status.phase is Phase.ENDED, seconds)

    async def log(self, handle: Handle) -> str:
        return (await self.backend.read(handle, "mantik.log", 0, 1 << 20)).decode()

    def start_now(self, ref: JobRef) -> None:
        """Slurm lets a requeued job wait for two minutes. Not within the second of its kill: slurmd compares the
        two in seconds and would refuse the launch (`Job already killed`)."""
        self.site.run("scontrol", "update", f"jobid={ref.id}", "starttime=now+2")


def code_bundle(directory: Path) -> CodeBundle:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("MLproject")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"name:"))
    packed = gzip.compress(data.getvalue(), mtime=0)
    path = directory / "code.tar.gz"
    path.write_bytes(packed)
    return CodeBundle(hashlib.sha256(packed).hexdigest(), path, len(packed))
