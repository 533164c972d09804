"""The JSON job description that is posted to `jobs`, and what it cannot say.

https://unicore-docs.readthedocs.io/en/latest/user-docs/rest-api/job-description/index.html
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from backends.batch_script import values
from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import JobRequest, JobSpec
from backends.unicore.names import job_name
from backends.unicore.resources import Loss, translate

SCRIPT = "job.sh"
ANY_TAG = "mantik"
"""What all our jobs carry."""
_POST = ("POST", "jobs")
_COMMON: Mapping[str, Any] = {
    # A raw job needs an executable, too. Where UNICORE runs jobs by itself and knows no raw ones, this is what runs.
    "Executable": "/bin/bash",
    "Arguments": [SCRIPT],
    # Keeps the job in READY until it is started. A text: older servers take no boolean.
    "haveClientStageIn": "true",
    # The job's directory is its owner's alone.
    "Umask": "077",
}


@dataclass(frozen=True, slots=True)
class Description:
    """What is the same for each attempt of a run. No variable of the user is in it: UNICORE does not escape them, and
    shows them to others."""

    body: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """For `RenderedJob.submit_command`; `from_words` reads the body from it again."""
        return (*_POST, json.dumps(self.body, sort_keys=True))


def describe(request: JobRequest, *, raw_allowed: bool = True) -> Description:
    """A plain job where UNICORE's resources carry all that is asked for; else a raw one, where the site allows those.

    Raises InvalidJob with reason INVALID_CONFIG, naming the fields that cannot be had there."""
    translation = translate(request.config.resources)
    body: dict[str, Any] = dict(_COMMON)
    if request.account:
        body["Project"] = values.name("The compute budget account", request.account)
    if not translation.losses:
        return Description(body | {"Resources": dict(translation.resources)})
    if not raw_allowed:
        raise _impossible(translation.losses)
    # Project and Queue are not applied in a raw job, but the site checks them, at once and in plain words.
    queue = {name: value for name, value in translation.resources.items() if name == "Queue"}
    raw = body | {"Job type": "raw", "BSS file": SCRIPT, "Resources": queue}
    return Description(raw, (_report(translation.losses),))


def from_words(words: tuple[str, ...]) -> dict[str, Any]:
    """Raises ValueError for words that are not of a `Description`."""
    if words[:2] != _POST or len(words) != 3:
        raise ValueError(f"no UNICORE job description: {' '.join(words)[:80]}")
    body = json.loads(words[2])
    if not isinstance(body, dict):
        raise ValueError("a UNICORE job description is a JSON object")
    return body


def of_attempt(spec: JobSpec) -> dict[str, Any]:
    """What is posted for one attempt: found again by `spec.tag`, by the run's tag and, for a sweep, by `mantik`.

    Raises ValueError as `from_words`."""
    tags = {"Tags": [ANY_TAG, run_tag(spec.run_id), spec.tag], "Name": job_name(spec.name)}
    return from_words(spec.job.submit_command) | tags | ({"Notification": spec.notify} if spec.notify else {})


def run_tag(run_id: str) -> str:
    """The tag that all attempts of a run carry. Letters, digits and dashes: UNICORE searches with SQL's LIKE."""
    return f"mantik-{run_id}"


def attempt_tag(tags: Collection[str]) -> str | None:
    """Which of a job's tags is that of its attempt: the tag of the run, which is there too, and a number."""
    for tag in tags:
        run, _, n = tag.rpartition("-")
        if run in tags and run != ANY_TAG and n.isdecimal():
            return tag
    return None


def is_raw(body: Mapping[str, Any]) -> bool:
    return body.get("Job type") == "raw"


def _report(losses: tuple[Loss, ...]) -> str:
    return (
        f"{_listed(losses)}. The job goes to the site as a raw job with its own #SBATCH lines, which only Slurm reads."
    )


def _impossible(losses: tuple[Loss, ...]) -> InvalidJob:
    fields = " and ".join(loss.field for loss in losses)
    message = (
        f"{_listed(losses)}. This site takes no raw jobs, which could say it. Take {fields} out of the config for the "
        "queue's default, or ask the operator to allow raw jobs on the site."
    )
    return InvalidJob(message, reason=Reason.INVALID_CONFIG)


def _listed(losses: tuple[Loss, ...]) -> str:
    return "; ".join(f"{loss.field} {loss.why}" for loss in losses)
