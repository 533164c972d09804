"""A UNICORE/X server in remote mode in front of Slurm, as it was recorded on the real ones: it cannot be started from
packages. Times are scaled: what took 130 s there takes `SILENCE` here.

- READY is shown before the directory is there. An upload that early answers 500; with a subdirectory in its name 204,
  and the file lands elsewhere.
- A range that begins beyond the end of the file is never answered.
- A job that left no exit code is RUNNING for `SILENCE` more, then FAILED; `details` tell its state in Slurm at once.
- Killed at the wrong moment the server submits a job twice, both copies in one directory (`double`): the second when it
  is up again, so the first is past the fence by then.
- Its status follows that of Slurm by `LAG`.
- A job that has a notification URL is told of there when it runs and when it has ended, with a token that the server's
  key signed.
"""

import asyncio
import json
import os
import shlex
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import jwt

from tests.backends.unicore.proxy import Request, read_request

SILENCE, LAG, DIRECTORY_AFTER = 4.0, 0.3, 0.25
EXIT_CODE = "UNICORE_SCRIPT_EXIT_CODE"
DN = "CN=Alice, O=Users"
BEYOND = "Job did not complete normally on BSS"
Answer = tuple[int, dict[str, Any] | list[Any] | bytes | None, dict[str, str]]


@dataclass
class SlurmJob:
    """One copy of a job's script, as Slurm runs it."""

    number: int
    process: asyncio.subprocess.Process
    state: str = "RUNNING"


@dataclass
class Job:
    name: str
    body: dict[str, Any]
    directory: Path
    made_at: datetime
    ends_at: datetime
    there: bool = False
    status: str = "READY"
    message: str = ""
    exit_code: int | None = None
    copies: list[SlurmJob] = field(default_factory=list)
    started: bool = False
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def shown(self, url: str) -> dict[str, Any]:
        log = ["Created with type 'JSON'", *(["Status set to READY."] if self.there else [])]
        code = {} if self.exit_code is None else {"exitCode": str(self.exit_code)}
        return {
            **{"status": self.status, "statusMessage": self.message, "tags": self.body.get("Tags", []), "log": log},
            **{"batchSystemID": str(self.copies[-1].number) if self.copies else "N/A", "consumedTime": {}},
            **{"submissionTime": _said(self.made_at), "terminationTime": _said(self.ends_at), **code},
            "_links": {"self": {"href": f"{url}/jobs/{self.name}"}},
        }


@dataclass
class RemoteFake:
    """`url` and `ca` are for the client; `hung` counts ranges that were asked for beyond an end."""

    root: Path
    url: str = ""
    ca: str = ""
    user: str = "alice"
    password: str = "alice-password"
    hung: int = 0
    strayed: int = 0
    deaf: bool = False
    """It takes connections, and reads nothing from them."""
    full: bool = False
    """Slurm has no room: what is started waits there."""
    breaks: str = ""
    """Questions that end so break their connection off."""
    away: bool = False
    """It ends each connection."""
    double: bool = False
    """The next start is submitted twice, and the server knows of the second copy only."""
    jobs: dict[str, Job] = field(default_factory=dict)
    numbers: int = 1000
    key: str = ""
    """PEM of the private key of its certificate."""
    connections: set[asyncio.StreamWriter] = field(default_factory=set)
    """Those that are open."""
    asked: list[str] = field(default_factory=list)
    """Method and path of each request."""
    cookie: str = ""
    """Given with each answer."""
    cookies: list[str] = field(default_factory=list)
    """What came with each request."""

    # -- jobs

    def make(self, body: dict[str, Any]) -> Job:
        self.numbers += 1
        name, now = f"Job{self.numbers}x", datetime.now(UTC)
        job = Job(name, body, self.root / "jobs" / name, now, now + timedelta(days=1))
        self.jobs[name] = job
        job.tasks.append(asyncio.create_task(self._open(job)))
        return job

    async def _open(self, job: Job) -> None:
        await asyncio.sleep(DIRECTORY_AFTER)
        job.directory.mkdir(mode=0o700)
        job.there = True
        if not job.body.get("haveClientStageIn"):
            self.start(job)

    def start(self, job: Job) -> None:
        if not job.started:
            job.started, job.status = True, "QUEUED"
            job.tasks.append(asyncio.create_task(self._run(job, 2 if self.double else 1)))
            self.double = False

    async def _run(self, job: Job, copies: int) -> None:
        while self.full:  # noqa: ASYNC110  it is not about speed
            await asyncio.sleep(0.02)
        for _ in range(copies):
            while job.copies and (job.directory / "ticket").exists():  # noqa: ASYNC110  another process: no event
                await asyncio.sleep(0.02)
            self.numbers += 1
            job.copies.append(SlurmJob(self.numbers, await self._launch(job, self.numbers)))
        for other in job.copies[:-1]:
            job.tasks.append(asyncio.create_task(self._ended(other)))
        known = job.copies[-1]
        ended = asyncio.create_task(self._ended(known))
        await asyncio.wait([ended], timeout=LAG)
        if job.status == "QUEUED":
            job.status = "RUNNING"
            await self.tell(job)
        await ended
        await asyncio.sleep(LAG)
        if job.status == "FAILED":
            return
        left = job.directory / EXIT_CODE
        if not left.exists():
            await asyncio.sleep(SILENCE)
            job.status, job.message = "FAILED", f"{BEYOND}: job failed, was cancelled or timed out."
            return await self.tell(job)
        job.exit_code = int(left.read_text())
        job.status = "FAILED" if job.exit_code else "SUCCESSFUL"
        job.message = f"User application exited with non-zero exit code: <{job.exit_code}>." if job.exit_code else ""
        await self.tell(job)

    async def tell(self, job: Job) -> None:
        """The notification of its present state; one that does not arrive is not repeated."""
        if url := job.body.get("Notification"):
            message = {"href": f"{self.url}/jobs/{job.name}", "status": job.status, "statusMessage": job.message}
            headers = {"Authorization": f"Bearer {self.token()}"}
            with suppress(httpx.HTTPError):
                async with httpx.AsyncClient() as client:
                    await client.post(url, json=message, headers=headers)

    def token(self, user: str = DN, seconds: float = 300) -> str:
        """What the server signs about itself and one of its users."""
        now = datetime.now(UTC).timestamp()
        claims = {"iss": "CN=localhost", "sub": user, "etd": "true", "iat": now, "exp": now + seconds}
        return jwt.encode(claims, self.key, "ES256")

    async def _launch(self, job: Job, number: int) -> asyncio.subprocess.Process:
        command = shlex.join([job.body["Executable"], *job.body.get("Arguments", [])])
        # UNICORE's own script around a plain job ends well, whatever the code.
        script = f"{command} >stdout 2>stderr; echo $? >{EXIT_CODE}.{number} && mv {EXIT_CODE}.{number} {EXIT_CODE}"
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.root)}
        if job.body.get("Job type") != "on_login_node":
            environment |= {"SLURM_JOB_ID": str(number), "SLURM_SUBMIT_DIR": str(job.directory)}
        return await asyncio.create_subprocess_exec(
            *("bash", "-c", script), cwd=job.directory, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    async def _ended(self, copy: SlurmJob) -> None:
        await copy.process.wait()
        if copy.state == "RUNNING":
            copy.state = "COMPLETED"

    def slurm_ends(self, job: Job, state: str) -> None:
        """Slurm kills a job: scancel, a limit, a lack of memory."""
        for copy in job.copies:
            if copy.process.returncode is None:
                copy.state = state
                with suppress(ProcessLookupError):
                    os.killpg(copy.process.pid, signal.SIGKILL)

    def abort(self, job: Job) -> None:
        if job.status not in ("SUCCESSFUL", "FAILED"):
            job.status, job.message, job.started = "FAILED", "Job aborted.", True
            self.slurm_ends(job, "CANCELLED")

    def details(self, job: Job) -> dict[str, Any]:
        copy = job.copies[-1]
        code = "0:9" if copy.state not in ("RUNNING", "COMPLETED") else "0:0"
        fields = {"JobId": str(copy.number), "JobState": copy.state, "Reason": "None", "ExitCode": code}
        return {**fields, "Restarts": "0", "NodeList": "n1", "Account": "proj1", "Comment": "(null)"}

    # -- HTTP

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while (request := await self._heard(reader)) is not None:
                self.asked.append(f"{request.method} {request.path.partition('?')[0].removeprefix('/rest/core')}")
                self.cookies.append(request.headers.get("cookie", ""))
                status, body, more = self._answer(request)
                if status == 0:
                    self.hung += 1
                    await reader.read()  # a thread of the server is gone
                    break
                data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
                head = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(data)}"]
                head += [f"{name}: {value}" for name, value in more.items()]
                head += [f"Set-Cookie: {self.cookie}; Path=/"] if self.cookie else []
                writer.write("\r\n".join((*head, "", "")).encode() + data)
                await writer.drain()
        self.connections.discard(writer)
        writer.close()

    async def _heard(self, reader: asyncio.StreamReader) -> Request | None:
        if self.deaf:
            await asyncio.Event().wait()
        request = await read_request(reader)
        broken = request is not None and self.breaks and request.path.partition("?")[0].endswith(self.breaks)
        return None if self.away or broken else request

    def _answer(self, request: Request) -> Answer:
        parts = urlsplit(request.path)
        words = unquote(parts.path).removeprefix("/rest/core").strip("/").split("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match words:
            case [""]:
                return 200, _base(), {}
            case ["certificate"]:
                return 200, self.ca.encode(), {}
            case ["factories", _]:
                return 200, {"resources": {"batch": {"Runtime": "1-86400", "Nodes": "1-16", "Project": ["proj1"]}}}, {}
            case ["jobs"]:
                return self._of_jobs(request, query)
            case ["jobs", name, *action]:
                job = self.jobs.get(name)
                return self._of_job(request, job, action) if job else (404, None, {})
            case ["storages", storage, *rest]:
                job = self.jobs.get(storage.removesuffix("-uspace"))
                return self._of_storage(request, job, rest) if job else (404, None, {})
        return 404, None, {}

    def _of_jobs(self, request: Request, query: dict[str, str]) -> Answer:
        if request.method == "POST":
            job = self.make(json.loads(request.body))
            return 201, None, {"Location": f"{self.url}/jobs/{job.name}"}
        wanted = set(filter(None, query.get("tags", "").split(",")))
        found = [f"{self.url}/jobs/{n}" for n, job in self.jobs.items() if wanted <= set(job.body.get("Tags", []))]
        first = int(query.get("offset", "0"))
        return 200, {"jobs": found[first : first + int(query.get("num", "200"))]}, {}

    def _of_job(self, request: Request, job: Job, action: list[str]) -> Answer:
        match request.method, action:
            case "GET", []:
                return 200, job.shown(self.url), {}
            case "GET", ["details"]:
                return (200, self.details(job), {}) if job.copies else (500, {"errorMessage": "no such job"}, {})
            case "PUT", []:
                job.ends_at = datetime.fromisoformat(json.loads(request.body)["terminationTime"])
                return 200, {"terminationTime": "OK"}, {}
            case "POST", ["actions", "start"]:
                self.start(job)
                return 204, None, {}
            case "POST", ["actions", "abort"]:
                self.abort(job)
                return 204, None, {}
            case "DELETE", []:
                self.abort(job)
                subprocess.run(["rm", "-rf", "--", str(job.directory)], check=True)
                del self.jobs[job.name]
                return 204, None, {}
        return 405, None, {}

    def _of_storage(self, request: Request, job: Job, rest: list[str]) -> Answer:
        match request.method, rest:
            case "GET", []:
                return 200, {"mountPoint": f"{job.directory}/", "usableSpace": 1 << 40, "resourceStatus": "READY"}, {}
            case "POST", ["actions", "rename"]:
                names = json.loads(request.body)
                try:
                    Path(f"{job.directory}{names['from']}").rename(f"{job.directory}{names['to']}")
                except OSError as error:
                    return 500, {"errorMessage": str(error)}, {}
                return 204, None, {}
            case method, ["files", *path]:
                return self._of_file(method, request, job, "/".join(path).strip("/"))
        return 405, None, {}

    def _of_file(self, method: str, request: Request, job: Job, path: str) -> Answer:
        file = job.directory / path
        if method == "PUT":
            return self._put(request, job, file, "/" in path)
        if not file.exists():
            return 404, None, {}
        if method == "DELETE":
            file.unlink()
            return 204, None, {}
        if request.headers.get("accept") != "application/octet-stream":
            inside = {f"/{entry.relative_to(job.directory)}": _stat(entry) for entry in _entries(file)}
            return 200, {**_stat(file), **({"content": inside} if file.is_dir() else {})}, {}
        first, _, last = request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        size = file.stat().st_size
        if int(first) > size:
            return 0, None, {}
        with file.open("rb") as opened:
            opened.seek(int(first))
            return 206, opened.read((int(last) if last else size) - int(first) + 1), {}

    def _put(self, request: Request, job: Job, file: Path, deep: bool) -> Answer:
        if request.headers.get("content-type") == "application/json":
            wanted = json.loads(request.body)["permissions"]
            if wanted != "rw-------":
                return 200, {"permissions": "FAILED"}, {}
            file.chmod(0o600)
            return 200, {"permissions": "OK"}, {}
        if not job.there:
            self.strayed += 1
            return (204, None, {}) if deep else (500, {"errorMessage": "java.lang.NullPointerException"}, {})
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(request.body)
        file.chmod(0o640)
        return 204, None, {}

    async def close(self) -> None:
        for writer in self.connections:
            writer.transport.abort()
        await asyncio.sleep(0.05)  # until the other side has seen it
        for job in self.jobs.values():
            self.slurm_ends(job, "CANCELLED")
            for task in job.tasks:
                task.cancel()
            await asyncio.gather(*job.tasks, return_exceptions=True)
            for copy in job.copies:
                await copy.process.wait()


def _entries(directory: Path) -> list[Path]:
    return [entry for entry in directory.iterdir() if entry.exists()] if directory.is_dir() else []


def _stat(file: Path) -> dict[str, Any]:
    with suppress(FileNotFoundError):
        values = file.stat()
        at = _said(datetime.fromtimestamp(values.st_mtime, UTC))
        return {"size": values.st_size, "isDirectory": file.is_dir(), "lastAccessed": at, "permissions": "rw-"}
    return {"size": 0, "isDirectory": False, "lastAccessed": "", "permissions": "---"}


def _said(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S%z")


def _base() -> dict[str, Any]:
    client = {"dn": DN, "role": {"selected": "user"}, "xlogin": {"UID": "alice"}}
    return {"client": client, "server": {"version": "11.0.0", "jobSubmission": {"enabled": True, "message": ""}}}


@asynccontextmanager
async def remote_fake(root: Path, certificate: Path, key: Path) -> AsyncIterator[RemoteFake]:
    """Listens on loopback with this certificate, whose authority it is itself."""
    (root / "jobs").mkdir(parents=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    fake = RemoteFake(root, ca=certificate.read_text(), key=key.read_text())
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0, ssl=context)
    fake.url = f"https://localhost:{server.sockets[0].getsockname()[1]}/rest/core"
    try:
        yield fake
    finally:
        server.close()
        await fake.close()
