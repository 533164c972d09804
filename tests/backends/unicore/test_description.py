import dataclasses
import json

import pytest

from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import CodeBundle, JobSpec, RenderedJob
from backends.unicore.description import describe, from_words, is_raw, of_attempt
from tests.backends.unicore.requests import request

PLAIN = {
    "Executable": "/bin/bash",
    "Arguments": ["job.sh"],
    "haveClientStageIn": "true",
    "Umask": "077",
    "Resources": {"Queue": "batch"},
}


def spec(words: tuple[str, ...], tmp_path: object, name: str = "a run") -> JobSpec:
    job = RenderedJob(script=b"", submit_command=words)
    bundle = CodeBundle("0" * 64, tmp_path, 0)  # type: ignore[arg-type]
    return JobSpec("r1", 2, name, "r1", job, bundle, {"TOKEN": "hush"})


def test_plain_job() -> None:
    described = describe(request({"Runtime": "10m", "Nodes": 1}, account="proj1"))
    resources = {"Queue": "batch", "Runtime": "600", "Nodes": "1"}
    assert described.body == {**PLAIN, "Project": "proj1", "Resources": resources}
    assert described.warnings == ()


def test_raw_job_says_why() -> None:
    described = describe(request({"MemoryPerNode": "64G", "GPUsPerNode": 4, "Runtime": "1h"}, account="proj1"))
    assert described.body == {**PLAIN, "Project": "proj1", "Job type": "raw", "BSS file": "job.sh"}
    assert described.warnings == (
        "Resources.MemoryPerNode is 64G, and UNICORE hands on no more than 2047M; Resources.GPUsPerNode is 4, and "
        "UNICORE does not hand GPUs on. The job goes to the site as a raw job with its own #SBATCH lines, which only "
        "Slurm reads.",
    )


def test_several_queues_are_named_in_the_script_alone() -> None:
    assert describe(request({"Queue": "a,b"})).body["Resources"] == {}


def test_site_without_raw_jobs_names_the_fields() -> None:
    with pytest.raises(InvalidJob) as caught:
        describe(request({"MemoryPerNode": "64G", "GPUsPerNode": 4}), raw_allowed=False)
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert caught.value.message.endswith(
        "This site takes no raw jobs, which could say it. Take Resources.MemoryPerNode and Resources.GPUsPerNode out "
        "of the config for the queue's default, or ask the operator to allow raw jobs on the site."
    )


def test_site_without_raw_jobs_takes_what_unicore_carries() -> None:
    assert not is_raw(describe(request({"MemoryPerNode": "2047M"}), raw_allowed=False).body)


@pytest.mark.parametrize("account", ["a b", "p\nx", '"; id'])
def test_account_is_one_word(account: str) -> None:
    with pytest.raises(InvalidJob, match="compute budget account cannot be"):
        describe(request(account=account))


def test_no_text_of_the_user_is_in_it() -> None:
    wanted = request(command="echo 'top secret'", environment={"Variables": {"A": "$(id)"}})
    assert "secret" not in " ".join(describe(wanted).words)
    assert "$(id)" not in " ".join(describe(wanted).words)


def test_same_request_same_words() -> None:
    described = describe(request({"Nodes": 2, "QoS": "q"}))
    assert described.words == describe(request({"QoS": "q", "Nodes": 2})).words
    assert described.words[:2] == ("POST", "jobs")
    assert from_words(described.words) == described.body


def test_attempt_adds_tags_and_name(tmp_path: object) -> None:
    attempt = spec(describe(request()).words, tmp_path, "état/1")
    body = of_attempt(dataclasses.replace(attempt, notify="https://gateway.example.org/hooks/1"))
    assert body == {
        **PLAIN,
        "Tags": ["mantik", "mantik-r1", "mantik-r1-2"],
        "Name": "tat.1",
        "Notification": "https://gateway.example.org/hooks/1",
    }
    assert "Notification" not in of_attempt(attempt)
    assert "hush" not in json.dumps(body)


@pytest.mark.parametrize("words", [("sbatch", "job.sh"), ("POST", "jobs", "[]"), ("POST", "jobs", "{")])
def test_words_of_another_kind_are_refused(words: tuple[str, ...], tmp_path: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  json's own is one, too
        of_attempt(dataclasses.replace(spec((), tmp_path), job=RenderedJob(b"", words)))
