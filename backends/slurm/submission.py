"""`sbatch`: the job id, or why there is none."""

import re
from dataclasses import dataclass

from backends.errors import BackendError, InvalidJob, SiteUnavailable, SubmitUncertain
from backends.reasons import Reason
from backends.slurm.answers import said
from backends.slurm.environment import SUBMIT_DEFAULTS, command

SCRIPT = "job.sh"
_JOB_ID = re.compile(r"^(\d+)(?:;\S+)?$")
_BAD_PARTITION = re.compile(r"invalid partition specified: *(\S+)")

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

BUDGET = (
    *("invalid account", "minuteslimit", "tresminutes", "grptresmins", "minutes limit"),
    *("budget", "insufficient", "core hours", "core-hours", "no allocation", "allocation exhausted"),
)
"""Lower-cased words of Slurm and of the centres' own submit plugins about accounts."""

SENTENCES = (
    (
        ("submitjoblimit", "maxsubmitjob", "job violates accounting/qos policy"),
        "The site's limit for this account or QoS is reached, often the number of jobs at a time. Wait until some have "
        "ended or ask for less in Resources, then submit again.",
    ),
    (("invalid qos",), "The site does not allow this QoS for the account and queue; check Resources.QoS."),
    (
        ("time limit", "--time specification", "partitiontimelimit"),
        "The queue does not allow this run time; check Resources.Runtime against its limit.",
    ),
    (
        ("node limit", "node count", "partitionnodelimit"),
        "The queue does not allow this number of nodes; check Resources.Nodes against its limit.",
    ),
    (("memory specification", "--mem specification"), "No node has so much memory; lower Resources.MemoryPerNode."),
    (
        ("node configuration is not available", "more processors requested"),
        "No node of the queue has what is asked for; check Nodes, CPUsPerNode, GPUsPerNode, MemoryPerNode and "
        "NodeConstraints in Resources against the queue's limits.",
    ),
    (("invalid feature",), "No node of the site has these features; check Resources.NodeConstraints."),
    (("reservation",), "There is no such reservation for this user and account; check Resources.Reservation."),
    (("gres", "trackable resource"), "The queue has no such GPUs; check Resources.GPUsPerNode and Resources.Queue."),
    (("not permitted", "permission denied"), "The site does not let this user submit such a job; ask the centre."),
)
"""Lower-cased words of the answer, and what to do; the first that fits."""


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


def refusal(code: int, stderr: str) -> BackendError:
    """Turn a failed sbatch into the error that says whether a job may exist and what to do."""
    text, last = stderr.strip(), said(stderr)
    if code == 127 or any(words in text for words in NOT_SENT):
        return SiteUnavailable(
            f"Slurm on the site took no job: {last or 'sbatch was not found'}. It is tried again.", text=text
        )
    refused = re.search(r"(?:error|fatal|unrecognized option|invalid option)", text) is not None
    if code not in (1, 255) or not refused or any(words in text for words in OPEN):
        return SubmitUncertain(f"The answer of sbatch leaves open whether there is a job: {last}.", text=text)
    if bad := _BAD_PARTITION.search(text):
        return InvalidJob(f"The site has no queue {bad[1]!r} for this user; check Resources.Queue.", text=text)
    lowered = text.lower()
    if any(words in lowered for words in BUDGET):
        return InvalidJob(
            "The site does not bill this job to the compute budget account: it is unknown, not open to this user or "
            "queue, or used up. Check the compute budget account and Resources.Queue.",
            reason=Reason.BUDGET_REFUSED,
            text=text,
        )
    for words, sentence in SENTENCES:
        if any(some in lowered for some in words):
            return InvalidJob(sentence, text=text)
    return InvalidJob(f"The site refuses the job: {last}. Check Resources in the compute backend config.", text=text)
