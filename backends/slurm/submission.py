"""`sbatch`: the job id, or why there is none."""

import re
from dataclasses import dataclass

from backends.batch_script.refusals import refused
from backends.errors import BackendError, SiteUnavailable, SubmitUncertain
from backends.slurm.answers import said
from backends.slurm.environment import SUBMIT_DEFAULTS, command

SCRIPT = "job.sh"
_JOB_ID = re.compile(r"^(\d+)(?:;\S+)?$")

NOT_SENT = (
    "Unable to contact slurm controller (connect failure)",
    "Unable to resolve",
    "Protocol authentication error",
)
"""The controller was never reached. https://github.com/SchedMD/slurm/blob/master/src/common/slurm_errno.c"""

OPEN = (
    *("Socket timed out", "Zero Bytes were transmitted", "Connection reset by peer", "Broken pipe"),
    *("Unexpected message received", "Message receive failure", "Message send failure", "Communication"),
    *("Transport endpoint is not connected", "Unable to contact slurm controller", "connection failure"),
    *("Response message not received", "authentication credential"),
)
"""The request may have arrived before the connection broke."""


@dataclass(frozen=True, slots=True)
class Sbatch:
    """Submits `job.sh` of the current directory. The tag is given here, so that the script is the same per attempt."""

    tag: str

    @property
    def argv(self) -> tuple[str, ...]:
        options = ("--parsable", f"--job-name={self.tag}", f"--comment={self.tag}")
        return command("sbatch", *options, SCRIPT, without=SUBMIT_DEFAULTS)

    def parse(self, code: int, stdout: str, stderr: str) -> str:
        """The job id. A line of a login shell or a submit plugin before or after it does no harm."""
        if code == 0:
            ids = [match[1] for line in stdout.splitlines() if (match := _JOB_ID.match(line.strip()))]
            if len(ids) == 1:
                return ids[0]
            raise SubmitUncertain("sbatch named no job id; the site is searched for the job.", text=stdout + stderr)
        raise refusal(code, stderr)


def _not_sent(text: str) -> bool:
    """Whether the controller was never reached: in no try, if there were several."""
    rest = text
    for words in NOT_SENT:
        rest = rest.replace(words, "")
    return rest != text and not any(words in rest for words in OPEN)


def refusal(code: int, stderr: str) -> BackendError:
    """Turn a failed sbatch into the error that says whether a job may exist and what to do."""
    text, last = stderr.strip(), said(stderr)
    if code == 127 or _not_sent(text):
        return SiteUnavailable(
            f"Slurm on the site took no job: {last or 'sbatch was not found'}. It is tried again.", text=text
        )
    no = re.search(r"(?:error|fatal|unrecognized option|invalid option)", text) is not None
    if code not in (1, 255) or not no or any(words in text for words in OPEN):
        return SubmitUncertain(f"The answer of sbatch leaves open whether there is a job: {last}.", text=text)
    return refused(text, last)
