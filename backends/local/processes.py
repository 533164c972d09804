"""The process table as a scheduler: a job is a process, known by boot id, pid and start time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.errors import InvalidJob, SiteUnavailable, SubmitUncertain
from backends.host.scheduler import Command, Record
from backends.reasons import Reason
from backends.spec import Phase

_ID = re.compile(r"[0-9a-f-]{36}\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Launch:
    """Starts the supervisor of `job.sh`; it writes the job's id before the command ends."""

    argv: tuple[str, ...] = ("launch",)

    def parse(self, code: int, stdout: str, stderr: str) -> str:
        job_id = stdout.strip()
        if code == 0 and _ID.fullmatch(job_id):
            return job_id
        if code == 75:
            raise SubmitUncertain("The process was started and has not said its id.", text=stderr)
        raise InvalidJob(f"The process could not be started: {stderr.strip() or f'exit code {code}'}.", text=stderr)


@dataclass(frozen=True, slots=True)
class Living:
    """Which of these processes live."""

    job_ids: tuple[str, ...]
    argv: tuple[str, ...] = ("processes",)

    @property
    def stdin(self) -> bytes:
        return "".join(f"{job_id}\n" for job_id in self.job_ids).encode()

    def parse(self, code: int, stdout: str, stderr: str) -> Mapping[str, Record]:
        lines = stdout.splitlines()
        if code != 0 or lines[-1:] != ["end"]:
            raise SiteUnavailable("The process table could not be read.", text=stderr)
        return {job_id: Record(job_id, Phase.RUNNING, "RUNNING") for job_id in lines[:-1]}


@dataclass(frozen=True, slots=True)
class Stop:
    """TERM to all of a job's session, KILL after a grace."""

    job_id: str

    @property
    def argv(self) -> tuple[str, ...]:
        return "stop", self.job_id

    def parse(self, code: int, stdout: str, stderr: str) -> None:
        if code != 0:
            raise SiteUnavailable("The process could not be stopped.", text=stderr)


@dataclass(frozen=True, slots=True)
class Boot:
    """Which of these processes went down with the machine: their ids begin with an earlier boot's."""

    job_ids: tuple[str, ...]
    argv: tuple[str, ...] = ("boot",)

    def parse(self, code: int, stdout: str, stderr: str) -> Mapping[str, Record]:
        boot = stdout.strip()
        if code != 0 or not boot:
            raise SiteUnavailable("The machine does not say when it was booted.", text=stderr)
        down = (job_id for job_id in self.job_ids if _ID.fullmatch(job_id) and not job_id.startswith(f"{boot}."))
        return {job_id: Record(job_id, Phase.ENDED, "REBOOTED", reason=Reason.NODE_FAILURE) for job_id in down}


class ProcessTable:
    """See `Scheduler`. There is no accounting but the supervisor's file beside the job's own; a process is found by
    its attempt's directory, not by a tag."""

    def submit(self, tag: str) -> Command[str]:
        return Launch()

    def queue(self, job_ids: Sequence[str]) -> Command[Mapping[str, Record]]:
        return Living(tuple(job_ids))

    def history(self, job_ids: Sequence[str]) -> Command[Mapping[str, Record]]:
        return Boot(tuple(job_ids))

    def find(self, tag: str) -> Sequence[Command[Sequence[str]]]:
        return (Search(tag),)

    def cancel(self, job_id: str) -> Command[None]:
        return Stop(job_id)


@dataclass(frozen=True, slots=True)
class Search:
    """The job that the supervisor of an attempt recorded."""

    tag: str

    @property
    def argv(self) -> tuple[str, ...]:
        run, _, attempt = self.tag.removeprefix("mantik-").rpartition("-")
        return "job", run, attempt

    def parse(self, code: int, stdout: str, stderr: str) -> Sequence[str]:
        if code != 0:
            raise SiteUnavailable("The attempt's directory could not be read.", text=stderr)
        return stdout.split()
