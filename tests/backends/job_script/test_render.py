"""The bytes of the script: the same for the same request, nothing of the site or its secrets, clean shell."""

import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from backends.errors import InvalidJob
from backends.job_script import render_script
from backends.job_script.render import command_line
from backends.reasons import Reason
from tests.backends.job_script.attempt import request

FULL = {
    "Variables": {"A": "x y", "JSON": '{"a": 1}', "NODES": "$(hostname)"},
    "Modules": ["GCC/12.3", "Python"],
    "PreRunCommandOnComputeNode": ["module list"],
    "PostRunCommandOnComputeNode": ["ls"],
}
IMAGE = {"Path": "images/a b.sif", "Options": ["--nv", "--bind", "$PWD:/data"]}


@pytest.mark.parametrize(
    "environment",
    [{}, FULL, {**FULL, "Apptainer": IMAGE}, {**FULL, "Python": "/opt/a venv"}],
    ids=["plain", "full", "apptainer", "python"],
)
def test_shellcheck_has_nothing_to_say(environment: Mapping[str, object], tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_bytes(render_script(request("python train.py 'a b'", environment), ("--nodes=2",)))
    program = Path(sysconfig.get_path("scripts"), "shellcheck")
    done = subprocess.run([program, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_entry_script_is_clean_too() -> None:
    program = Path(sysconfig.get_path("scripts"), "shellcheck")
    script = Path(__file__).parents[3] / "backends" / "host" / "entry.sh"
    assert subprocess.run([program, script], capture_output=True, text=True, check=False).stdout == ""


def test_same_request_same_bytes() -> None:
    wanted = request("python train.py", FULL)
    assert render_script(wanted, ("--nodes=1",)) == render_script(wanted, ("--nodes=1",))


def test_directives_come_first() -> None:
    lines = render_script(request(), ("--nodes=2", "--time=5")).decode().splitlines()
    assert lines[:3] == ["#!/bin/bash", "#SBATCH --nodes=2", "#SBATCH --time=5"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python a.py --x '1 2'", "python a.py --x '1 2'"),
        ("python a.py && echo ok", "/bin/sh -c 'python a.py && echo ok'"),
        ("python a.py\npython b.py", "/bin/sh -c 'python a.py\npython b.py'"),
        ("echo 'a;b'", "echo 'a;b'"),
    ],
)
def test_what_needs_a_shell_gets_one_inside_the_image(command: str, expected: str) -> None:
    line = command_line(request(command, {"Apptainer": IMAGE}))
    assert line == f'"${{mantik_launch[@]}}" apptainer run "--nv" "--bind" "$PWD:/data" "$mantik_image" {expected}'


@pytest.mark.parametrize("name", ["UID", "BASHOPTS", "mantik_job"])
def test_a_variable_that_cannot_be_set_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidJob, match=f"Environment.Variables.{name}") as refused:
        render_script(request(environment={"Variables": {name: "1"}}))
    assert refused.value.reason is Reason.INVALID_CONFIG


@pytest.mark.parametrize("command", ["echo \0", "echo \ud800"])
def test_what_is_no_text_is_refused(command: str) -> None:
    with pytest.raises(InvalidJob) as refused:
        render_script(request(command))
    assert refused.value.reason is Reason.INVALID_CONFIG
