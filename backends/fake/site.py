"""The state of the fake site, shared by all connections to it."""

import asyncio
import itertools
from collections import defaultdict

from backends.backend import DUPLICATE_EXIT_CODE, NO_FENCE_EXIT_CODE, REVOKED_EXIT_CODE
from backends.fake.faults import Faults
from backends.fake.job import FakeAttempt, FakeFiles, FakeJob, Killed, Program
from backends.reasons import Reason
from backends.spec import Account, EvidenceSource, Handle, JobRef, Outcome, Phase, Queue, Result

REVOKED = "revoked"


class FakeSite:
    """Jobs run as tasks of the event loop; with `hold` they stay queued until `begin`."""

    def __init__(self, *, hold: bool = False, root: str = "/fake") -> None:
        self.hold = hold
        self.root = root
        self.tracks = False
        """Whether jobs keep what they track beside themselves, as a job script does that is asked to."""
        self.faults = Faults()
        self.cache: dict[str, int] = {}
        self.runs: dict[str, FakeFiles] = defaultdict(FakeFiles)
        self.attempts: dict[str, FakeAttempt] = {}
        self.jobs: dict[str, FakeJob] = {}
        self.accounting: dict[str, str] = {}
        """What accounting still says of jobs that the site no longer knows."""
        self.queues: tuple[Queue, ...] = (Queue("batch", default=True),)
        self.accounts: tuple[Account, ...] = (Account("acct", default=True),)
        self._programs: dict[str, Program] = {}
        self._ids = itertools.count(1)

    def program(self, run: Program, name: str | None = None) -> str:
        """Make a command that does `run`; any other command prints itself and exits 0."""
        command = name or f"program-{len(self._programs) + 1}"
        self._programs[command] = run
        return command

    def submit(self, handle: Handle) -> FakeJob:
        """One more job for the attempt, as a submit command of the site does, wanted or not."""
        attempt = self.attempts[handle.location]
        job = FakeJob(JobRef(str(next(self._ids)), handle), attempt)
        self.jobs[job.ref.id] = job
        if not self.hold:
            self.begin(job)
        return job

    def begin(self, job: FakeJob) -> None:
        """The site starts a queued job."""
        if job.phase is Phase.QUEUED and job.task is None:
            job.task = asyncio.get_running_loop().create_task(self._run(job))

    def end(self, job: FakeJob, outcome: Outcome) -> None:
        """The site ends a job on its own: node failure, preemption, time limit."""
        if job.phase is not Phase.ENDED:
            job.phase, job.outcome, job.state = Phase.ENDED, outcome, outcome.text or outcome.result
            if job.task is not None and job.task is not asyncio.current_task():
                job.task.cancel()

    def lose(self, job: FakeJob) -> None:
        """The site forgets a job, without any trace of its end."""
        del self.jobs[job.ref.id]
        if job.task is not None:
            job.task.cancel()

    def requeue(self, job: FakeJob) -> None:
        """The site puts a running job back and starts it anew."""
        if job.task is not None:
            job.task.cancel()
        job.task, job.phase, job.state, job.restarts = None, Phase.QUEUED, "PENDING", job.restarts + 1
        if not self.hold:
            self.begin(job)

    async def login_commands(self, attempt: FakeAttempt, commands: tuple[str, ...]) -> str:
        """Run them on the login node; the error, or nothing."""
        there = FakeJob(JobRef("login", Handle("login", attempt.location)), attempt)
        for command in commands:
            program = self._programs.get(command)
            code = await program(there) if program else 0
            if code:
                return f"{command} ended with code {code}"
        return ""

    def cancel(self, job: FakeJob) -> None:
        cancelled = Outcome(
            Result.CANCELLED, EvidenceSource.SCHEDULER_DETAILS, Reason.CANCELLED_ON_SITE, None, 15, "CANCELLED"
        )
        self.end(job, cancelled)

    async def _run(self, job: FakeJob) -> None:
        job.phase, job.state = Phase.RUNNING, "RUNNING"
        attempt = job.attempt
        attempt.rename_ticket(job.ref.id)
        if attempt.fences != [job.ref.id]:
            self.end(job, _refused(attempt, job))
            return
        command = attempt.script.decode().strip()
        program = self._programs.get(command)
        try:
            if program is None:
                job.log(f"{command}\n")
            code = await program(job) if program else 0
        except Killed as killed:
            self.end(job, _failed(128 + killed.signal, killed.signal))
        else:
            finished = Outcome(Result.FINISHED, EvidenceSource.EXIT_FILE, exit_code=0, text="COMPLETED")
            self.end(job, _failed(code, None) if code else finished)


def _failed(code: int, signal: int | None) -> Outcome:
    return Outcome(Result.FAILED, EvidenceSource.EXIT_FILE, Reason.EXIT_CODE, code, signal, "FAILED")


def _refused(attempt: FakeAttempt, job: FakeJob) -> Outcome:
    if REVOKED in attempt.fences:
        code = REVOKED_EXIT_CODE
    else:
        code = DUPLICATE_EXIT_CODE if attempt.fences else NO_FENCE_EXIT_CODE
    return Outcome(Result.FAILED, EvidenceSource.SITE_EXIT_CODE, Reason.LOST, code, None, f"FAILED {job.ref.id}")
