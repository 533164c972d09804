"""`scancel`: ask the site to end a job."""

from dataclasses import dataclass

from backends.slurm.answers import unavailable
from backends.slurm.environment import command

ENDED = ("Invalid job id specified", "already completing or completed", "Job/step already")


@dataclass(frozen=True, slots=True)
class Scancel:
    job_id: str

    @property
    def argv(self) -> tuple[str, ...]:
        return command("scancel", self.job_id, without=("SCANCEL_INTERACTIVE", "SCANCEL_STATE", "SCANCEL_NAME"))

    def parse(self, code: int, stdout: str, stderr: str) -> None:
        if code != 0 and not any(words in stderr for words in ENDED):
            raise unavailable("scancel", code, stderr)
