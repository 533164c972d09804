import re

import pytest

from backends.batch_script.directives import FIXED, directives
from backends.errors import InvalidJob
from backends.slurm import kind
from tests.backends.slurm.requests import request


def test_all_fields() -> None:
    resources = {
        **{"Queue": "gpu,batch", "Runtime": "1d12h", "Nodes": 2, "TasksPerNode": 4, "CPUsPerTask": 12},
        **{"GPUsPerNode": 4, "MemoryPerNode": "16 GiB", "Reservation": "maint_1", "NodeConstraints": "a100|h100"},
        "QoS": "high",
    }
    assert directives(request(resources=resources, account="budget-a")) == (
        *("--partition=gpu,batch", "--account=budget-a", "--time=2160"),
        *("--nodes=2", "--ntasks-per-node=4", "--cpus-per-task=12"),
        *("--gres=gpu:4", "--mem=16384M", "--reservation=maint_1", "--constraint=a100|h100", "--qos=high"),
        *FIXED,
    )


def test_what_is_not_given_is_the_sites() -> None:
    assert directives(request()) == ("--partition=batch", *FIXED)


@pytest.mark.parametrize(
    ("runtime", "line"), [("90s", "--time=2"), ("1m", "--time=1"), ("59s", "--time=1"), ("12h", "--time=720")]
)
def test_minutes_are_rounded_up(runtime: str, line: str) -> None:
    assert line in directives(request(resources={"Runtime": runtime}))


def test_no_limit_of_its_own_is_the_queues_default() -> None:
    assert not any(line.startswith("--time") for line in directives(request(resources={"Runtime": 0})))


@pytest.mark.parametrize(
    ("memory", "line"), [("500M", "--mem=500M"), ("16G", "--mem=16384M"), ("1K", "--mem=1M"), ("1.5G", "--mem=1536M")]
)
def test_memory_means_what_it_says(memory: str, line: str) -> None:
    assert line in directives(request(resources={"MemoryPerNode": memory}))


def test_no_gpus_is_no_line() -> None:
    assert not any("gres" in line for line in directives(request(resources={"GPUsPerNode": 0})))


@pytest.mark.parametrize("account", ["a b", "a\n#SBATCH --uid=0", "--uid=0"])
def test_account_stays_in_its_line(account: str) -> None:
    with pytest.raises(InvalidJob, match="compute budget account cannot be"):
        directives(request(account=account))


def test_constraint_stays_in_its_line() -> None:
    with pytest.raises(InvalidJob, match=r"Resources\.NodeConstraints cannot be"):
        directives(request(resources={"NodeConstraints": "a --uid=0"}))


def test_script_is_the_same_for_each_attempt_and_names_no_place() -> None:
    rendered = kind.render(request(account="budget-a"))
    lines = [line for line in rendered.script.decode().splitlines() if line.startswith("#SBATCH")]
    assert lines[:2] == ["#SBATCH --partition=batch", "#SBATCH --account=budget-a"]
    assert not [line for line in lines if re.search(r"=/|job-name|comment|chdir", line)]
    assert rendered.submit_command == ("sbatch", "--parsable", "job.sh")
    assert rendered == kind.render(request(account="budget-a"))


def test_login_node_commands_are_handed_on() -> None:
    environment = {"PreRunCommandOnLoginNode": ["git pull"], "PostRunCommandOnLoginNode": "rm -rf tmp"}
    rendered = kind.render(request(environment=environment))
    assert rendered.login_commands_before == ("git pull",)
    assert rendered.login_commands_after == ("rm -rf tmp",)
    assert b"git pull" not in rendered.script
