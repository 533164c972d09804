"""Why sbatch takes no job, in plain words with the next step."""

import re

from backends.errors import InvalidJob
from backends.reasons import Reason

_BAD_PARTITION = re.compile(r"invalid partition specified: *(\S+)")

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


def refused(text: str, last: str) -> InvalidJob:
    """The refusal that sbatch's words `text` mean; `last` is the line of them that is shown where nothing fits."""
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
