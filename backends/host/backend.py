"""The backend contract over a shell and a scheduler's dialect: what this machine and a login node have in common."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from posixpath import dirname, join, normpath

from backends.errors import InvalidJob, JobNotFound, SiteUnavailable, SubmitUncertain
from backends.host.answers import FAILED, NOT_THERE, checked, file_info, key_values, number
from backends.host.calls import Layout, Submit, answers, layout_files, layout_words, start_words
from backends.host.environment import environment_file, login_script
from backends.host.evidence import REVOKED, Files, parse_evidence
from backends.host.outcome import decide
from backends.host.places import Place
from backends.host.scheduler import Command, Record, Scheduler, T_co
from backends.host.shell import Completed, Shell
from backends.host.together import Together
from backends.reasons import Reason
from backends.spec import (
    CodeBundle,
    DirectoryGone,
    FileArea,
    FileInfo,
    Found,
    Handle,
    JobRef,
    JobSpec,
    JobStatus,
    Outcome,
    Phase,
    Revoked,
    Site,
    SiteInfo,
)

UPLOAD = 4 << 20
"""Bytes of code sent in one command; what arrived stays when the connection breaks."""
STAGED_SECONDS = 600.0
"""How long the site is not asked again whether it has the code. `layout` says when it has not."""
LOGIN_TIME_LIMIT = 1800
"""Seconds for the commands on the login node, unless the site has `loginTimeLimit`."""
WAIT_FIRST, WAIT_MOST = 0.2, 5.0
MOST_SUBMITS = 1000
LAYOUT_SECONDS, SUBMIT_SECONDS = 300, 120
MORE_SECONDS = 20
"""For each call beyond the first of one command."""
SHARED_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cephfs", "fhgfs", "fuseblk", "gfs2", "gpfs", "lustre", "nfs", "ocfs2", "panfs", "smb2"}
)
"""As `stat -f` names them. Of any other nobody knows whether the compute nodes see it."""
ACCOUNTING_LAG = 5
"""Polls that wait for accounting to say why a job was killed before its own exit file decides alone."""


class HostBackend:
    """See `backends.backend.Backend`. `open_backend` of a kind subclasses it for what `check` can tell besides."""

    has_accounting = True
    """Whether the scheduler tells of every job how it ended, if a little late."""

    def __init__(self, shell: Shell, scheduler: Scheduler, site: Site) -> None:
        self._shell = shell
        self._scheduler = scheduler
        self._site = site
        self._staging: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._staged: dict[str, float] = {}
        """When the site last said that it has the code of a hash."""
        self._next_submit: dict[Handle, int] = {}
        self._lagging: Counter[JobRef] = Counter()
        self._root = ""
        """The work directory as the site last named it; empty when it has to be asked."""
        self._layouts: Together[Layout, Completed] = Together(self._lay_out_all, seen_out=True)
        self._submits: dict[str, Together[Submit, Completed]] = {}
        """By the root of the attempts."""

    async def aclose(self) -> None:
        await self._shell.aclose()

    async def check(self) -> SiteInfo:
        values = await self._facts()
        return SiteInfo(
            user=values.get("user", ""),
            host=values.get("host", ""),
            version="",
            work_directory=values["root"],
            free_bytes=number(values.get("bytes")),
            free_inodes=number(values.get("inodes")),
            shared_file_system=values.get("filesystem", "") in SHARED_FILE_SYSTEMS or None,
        )

    async def _facts(self) -> Mapping[str, str]:
        """What the host says of itself; makes the work directory and proves that it can be written."""
        done = await self._shell.run("check", self._site.work_directory)
        values = key_values(checked(done, "make and write the work directory").decode(errors="replace"))
        if not values.get("root", "").startswith("/"):
            raise SiteUnavailable(
                "The site's answer was cut; it is asked again.", text=done.stdout.decode(errors="replace")
            )
        self._root = values["root"]
        return values

    async def stage(self, bundle: CodeBundle) -> None:
        now = asyncio.get_running_loop().time
        async with self._staging[bundle.sha256]:
            if now() < self._staged.get(bundle.sha256, -STAGED_SECONDS) + STAGED_SECONDS:
                return
            for _ in range(3):
                if await self._upload(bundle):
                    self._staged[bundle.sha256] = now()
                    return
        message = "The code arrived damaged three times. Check the work directory's file system."
        raise InvalidJob(message, reason=Reason.STAGE_IN_FAILED)

    async def _upload(self, bundle: CodeBundle) -> bool:
        """True when the cache holds the bytes; False when what arrived was damaged and thrown away."""
        answer = await self._stage(bundle, "-", b"")
        while answer.startswith("part "):
            offset = min(int(answer.removeprefix("part ")), bundle.size)
            data = await asyncio.to_thread(_slice, bundle, offset)
            answer = await self._stage(bundle, str(offset), data)
        return answer == "complete"

    async def _stage(self, bundle: CodeBundle, offset: str, data: bytes) -> str:
        words = (self._site.work_directory, bundle.sha256, offset, str(bundle.size))
        done = await self._shell.run("stage", *words, stdin=data, time_limit=300)
        return checked(done, "take the code", Reason.STAGE_IN_FAILED).decode().strip()

    async def prepare(self, spec: JobSpec) -> Handle:
        files = self._files(spec)
        # The ticket comes last: with the layout, unless login-node commands have to be run before it.
        last = "then" if spec.job.login_commands_before else "ticket"
        location = await self._lay_out(spec, files, last)
        handle = Handle(spec.tag, location)
        if spec.job.login_commands_before:
            try:
                await self._on_login_node(handle, "before")
            except InvalidJob:
                await self._forget(handle)
                raise
            checked(await self._shell.run("ticket", *Place.of(handle).words), "lay the ticket")
        return handle

    def _files(self, spec: JobSpec) -> dict[str, bytes]:
        """What lies in the attempt's directory, by name."""
        files = {"job.sh": spec.job.script, "env": environment_file(spec.environment)}
        for name, commands in (
            ("before.sh", spec.job.login_commands_before),
            ("after.sh", spec.job.login_commands_after),
        ):
            if commands:
                files[name] = login_script(spec, commands)
        return files

    async def _lay_out(self, spec: JobSpec, files: Mapping[str, bytes], last: str) -> str:
        code = spec.code.sha256
        call = Layout(spec.run_id, str(spec.attempt), code, last, files, spec.code.size)
        done = await self._layouts.ask(call)
        if done.code == NOT_THERE:
            # The site cleared its cache meanwhile.
            self._staged.pop(code, None)
            await self.stage(spec.code)
            done = await self._layouts.ask(call)
        return checked(done, "lay out the run's directory").decode("utf-8", "surrogateescape")

    async def _lay_out_all(self, calls: Sequence[Layout]) -> Sequence[Completed]:
        words = (self._root or self._site.work_directory, *layout_words(calls))
        stdin = layout_files(calls)
        done = await self._shell.run("layout", *words, stdin=stdin, time_limit=_limit(LAYOUT_SECONDS, calls))
        if done.code == FAILED and len(calls) > 1:
            # One of them may be the cause: a disk that has no room for its files.
            return [(await self._lay_out_all([call]))[0] for call in calls]
        each = answers(done, len(calls))
        laid = [answer for answer in each if not answer.code]
        self._root = _root_of(laid[0]) if len(laid) == len(calls) else ""
        return each

    async def _on_login_node(self, handle: Handle, when: str) -> None:
        """Wait for detached commands; a repeated call waits for the same ones."""
        limit = int(str(self._site.options.get("loginTimeLimit", LOGIN_TIME_LIMIT)))
        wait = WAIT_FIRST
        while True:
            done = await self._shell.run("detached", *Place.of(handle).words, when, str(limit))
            head, _, tail = checked(done, "run the login-node commands").decode(errors="replace").partition("\n")
            if head.startswith("exit "):
                break
            await asyncio.sleep(wait)
            wait = min(WAIT_MOST, wait * 1.5)
        if head != "exit 0":
            code = head.removeprefix("exit ")
            field = "PreRunCommandOnLoginNode" if when == "before" else "PostRunCommandOnLoginNode"
            why = f"did not end within {limit} s" if code == "124" else f"ended with code {code}"
            last = tail.strip().splitlines()[-1] if tail.strip() else "it printed nothing"
            raise InvalidJob(f"Environment.{field} {why}: {last}", reason=Reason.PREPARE_FAILED, text=tail)

    async def _forget(self, handle: Handle) -> None:
        checked(await self._shell.run("forget", *Place.of(handle).words), "remove the secrets of the run")

    async def start(self, handle: Handle) -> JobRef:
        submit = self._scheduler.submit(handle.tag)
        # The commands before are known to have submitted nothing.
        for k in range(self._next_submit.pop(handle, 1), MOST_SUBMITS):
            kind, answer = await self._submit(handle, submit, k)
            if answer is None:
                return await self._unanswered(handle, kind)
            try:
                return JobRef(submit.parse(*answer), handle)
            except SiteUnavailable:
                # That command surely submitted nothing, so another one may follow it: now, when it was an earlier
                # call's, and at the next call when it was ours.
                if kind == "fresh":
                    self._next_submit[handle] = k + 1
                    raise
            except SubmitUncertain:
                found = await self.find(handle.tag)
                if found.refs:
                    return found.refs[0]
                raise
        raise SubmitUncertain(f"The site took no job in {MOST_SUBMITS} tries.")

    async def _submit(self, handle: Handle, submit: Command[str], k: int) -> tuple[str, tuple[int, str, str] | None]:
        """What came of submit command `k` (exit code, stdout, stderr), and whether it was issued just now."""
        place = Place.of(handle)
        if place.root not in self._submits:
            self._submits[place.root] = Together(self._submit_all)
        done = await self._submits[place.root].ask(Submit(place, k, submit.argv))
        try:
            text = checked(done, "submit the job")
        except JobNotFound as error:
            raise SubmitUncertain("The attempt's directory is gone from the site.", text=error.text) from None
        head, _, rest = text.partition(b"\n")
        kind, *values = head.decode().split()
        if kind != "answer":
            return f"{kind} {rest.decode()}", None
        fresh, code, size = values
        out, err = rest[: int(size)], rest[int(size) :]
        return fresh, (int(code), out.decode(errors="replace"), err.decode(errors="replace"))

    async def _submit_all(self, calls: Sequence[Submit]) -> Sequence[Completed]:
        words = (calls[0].place.root, *start_words(calls))
        return answers(await self._shell.run("start", *words, time_limit=_limit(SUBMIT_SECONDS, calls)), len(calls))

    async def _unanswered(self, handle: Handle, told: str) -> JobRef:
        """The submit command left no answer, or there is no ticket: the site's jobs and the fence say what is."""
        kind, *fences = told.split()
        if kind == "noticket" and fences == [REVOKED]:
            raise SubmitUncertain("The gateway took the attempt back; it can never run.")
        if kind == "noticket" and fences:
            return JobRef(next(fence for fence in fences if fence != REVOKED), handle)
        found = await self.find(handle.tag)
        if found.refs:
            return found.refs[0]
        raise SubmitUncertain("An earlier submit left no answer, and the site shows no job of this run yet.")

    async def find(self, tag: str) -> Found:
        refs: dict[str, None] = {}
        conclusive = True
        for command in self._scheduler.find(tag):
            try:
                refs |= dict.fromkeys(await self._ask(command))
            except SiteUnavailable:
                conclusive = False
        if not refs and not conclusive:
            return Found((), conclusive=False)
        handle = Handle(tag, await self._location(tag))
        return Found(tuple(JobRef(job_id, handle) for job_id in refs), conclusive)

    async def _location(self, tag: str) -> str:
        return join(self._root or (await self._facts())["root"], *_run_and_attempt(tag))

    async def _ask(self, command: Command[T_co], stdin: bytes = b"") -> T_co:
        done = await self._shell.run("run", *command.argv, stdin=stdin)
        return command.parse(done.code, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    async def revoke(self, handle: Handle) -> Revoked | JobRef | DirectoryGone:
        done = await self._shell.run("revoke", *Place.of(handle).words)
        lines = checked(done, "seize the fence").decode().split()
        if lines == ["gone"]:
            return DirectoryGone()
        others = [fence for fence in lines[1:] if fence != REVOKED]
        if REVOKED in lines[1:] and not others:
            return Revoked()
        if not others:
            raise SiteUnavailable("The fence is neither ours nor a job's yet; it is looked at again.")
        return JobRef(others[0], handle)

    async def poll(self, refs: Sequence[JobRef]) -> Mapping[JobRef, JobStatus]:
        if not refs:
            return {}
        queue = await self._ask(self._scheduler.queue([ref.id for ref in refs]))
        gone = [ref.id for ref in refs if ref.id not in queue or queue[ref.id].phase is Phase.ENDED]
        # After the queue: a job that left it has written what it will write.
        history, files = await asyncio.gather(self._history(gone), self._evidence(refs))
        found = {ref: files.get(Place.of(ref.handle).name, Files()) for ref in refs}
        if isinstance(history, SiteUnavailable):
            # Who left an exit file needs no accounting; of the others nothing can be said, not that they are missing.
            if any(ref.id in gone and decide(ref.id, None, found[ref]) is None for ref in refs):
                raise history
            history = {}
        return {ref: self._status(ref, queue, history, found[ref]) for ref in refs}

    async def _history(self, gone: Sequence[str]) -> Mapping[str, Record] | SiteUnavailable:
        asked = self._scheduler.history(gone) if gone else None
        try:
            return {} if asked is None else await self._ask(asked)
        except SiteUnavailable as error:
            return error

    async def _evidence(self, refs: Sequence[JobRef]) -> Mapping[str, Files]:
        found: dict[str, Files] = {}
        roots: dict[str, list[str]] = defaultdict(list)
        for ref in refs:
            place = Place.of(ref.handle)
            roots[place.root].append(place.name)
        for root, names in roots.items():
            done = await self._shell.run("evidence", root, stdin=("\n".join(names) + "\n").encode())
            if done.code == 65:
                found |= {name: Files(gone=True) for name in names}
                continue
            parsed = parse_evidence(checked(done, "read the runs' files").decode(errors="replace"))
            if parsed is None:
                raise SiteUnavailable("The site's answer about the runs' files was cut; it is asked again.")
            found |= parsed
        return found

    def _status(
        self, ref: JobRef, queue: Mapping[str, Record], history: Mapping[str, Record], files: Files
    ) -> JobStatus:
        record = queue.get(ref.id)
        if record is None or record.phase is Phase.ENDED:
            record = history.get(ref.id) or record
        live = record is not None and record.phase is not Phase.ENDED and ref.id in queue
        behind = ""
        if record is not None and record.phase is not Phase.ENDED and not live:
            # Accounting is behind: it still shows as live what the queue has let go.
            behind = record.state
            record = None
        outcome = None if live else decide(ref.id, record, files)
        if outcome and record is None and self._lags(ref, outcome):
            return JobStatus(
                ref,
                Phase.RUNNING,
                "COMPLETING",
                log_size=files.log_size,
                log_identity=files.log_identity,
                fence=files.fence,
            )
        phase = record.phase if live and record is not None else (Phase.ENDED if outcome else Phase.MISSING)
        ended = files.exit.ended_at if files.exit and outcome else (record.ended_at if record else None)
        return JobStatus(
            ref=ref,
            phase=phase,
            site_state=record.state if record else behind,
            pending_reason=record.pending_reason if record else "",
            restarts=record.restarts if record else 0,
            submitted_at=record.submitted_at if record else None,
            started_at=record.started_at if record else None,
            ended_at=ended if outcome else None,
            nodes=record.nodes if record else "",
            account=record.account if record else "",
            log_size=files.log_size,
            log_identity=files.log_identity,
            fence=files.fence,
            outcome=outcome,
            usage=dict(record.usage) if record else {},
        )

    def _lags(self, ref: JobRef, outcome: Outcome) -> bool:
        """Whether accounting may yet say why a signal ended the job: a limit, a lack of memory, an operator."""
        if outcome.signal is None or not self.has_accounting or self._lagging[ref] >= ACCOUNTING_LAG:
            self._lagging.pop(ref, None)
            return False
        self._lagging[ref] += 1
        return True

    async def cancel(self, ref: JobRef) -> None:
        await self._ask(self._scheduler.cancel(ref.id))

    async def finish(self, handle: Handle) -> None:
        with suppress(JobNotFound):  # a directory that is gone has neither commands nor secrets
            try:
                await self._on_login_node(handle, "after")
            finally:
                await self._forget(handle)

    async def stat(self, handle: Handle, path: str, area: FileArea = "attempt") -> FileInfo:
        done = await self._shell.run("stat", *Place.of(handle).words, area, path)
        return file_info(normpath(path), checked(done, f"look at {path}").decode().split())

    async def list(self, handle: Handle, path: str = ".", area: FileArea = "attempt") -> Sequence[FileInfo]:
        done = await self._shell.run("list", *Place.of(handle).words, area, path)
        found = []
        for entry in checked(done, f"list {path}").decode("utf-8", "surrogateescape").split("\0")[:-1]:
            *fields, name = entry.split(" ", 4)
            found.append(file_info(normpath(join(path, name)), fields))
        return sorted(found, key=lambda info: info.path)

    async def read(self, handle: Handle, path: str, offset: int, limit: int, area: FileArea = "attempt") -> bytes:
        words = (*Place.of(handle).words, area, path, str(offset), str(limit))
        return checked(await self._shell.run("read", *words, time_limit=120), f"read {path}")

    async def remove(self, handle: Handle, area: FileArea = "run") -> None:
        if handle.location:
            words = Place.of(handle).words
        else:
            # The site expands the work directory: to ask for it first would need room there.
            words = (self._site.work_directory, *_run_and_attempt(handle.tag))
        done = await self._shell.run("remove", *words, area, time_limit=600)
        if done.code != 65:
            checked(done, "remove the directory")


def _limit(seconds: int, calls: Sequence[object]) -> int:
    return seconds + MORE_SECONDS * (len(calls) - 1)


def _root_of(laid: Completed) -> str:
    return dirname(dirname(laid.stdout.decode("utf-8", "surrogateescape")))


def _run_and_attempt(tag: str) -> tuple[str, str]:
    run, _, attempt = tag.removeprefix("mantik-").rpartition("-")
    return run, attempt


def _slice(bundle: CodeBundle, offset: int) -> bytes:
    with bundle.path.open("rb") as file:
        file.seek(offset)
        return file.read(UPLOAD)
