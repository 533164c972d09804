"""What is read, and said so: older spellings, numbers without a unit, keys without a value."""

import pytest

from compute_backend_configs import InvalidConfig, parse_config
from tests.compute_backend_configs.texts import SMALL, errors, resources, warnings

IMAGE = {"Apptainer": {"Path": "image.sif"}}
REMOTE = {"Apptainer": {"Path": "/image.sif", "Type": "remote"}}


@pytest.mark.parametrize(
    ("older", "environment", "warning"),
    [
        (
            "SingularityImage: image.sif",
            IMAGE,
            "3: SingularityImage: is an older spelling; write Environment.Apptainer",
        ),
        (
            "SingularityImage: {Path: /image.sif, Type: remote}",
            REMOTE,
            "3: SingularityImage: is an older spelling; write Environment.Apptainer",
        ),
        (
            "Environment: {SingularityImage: image.sif}",
            IMAGE,
            "3: Environment.SingularityImage: is an older spelling; write Environment.Apptainer",
        ),
        (
            "Environment: {Singularity: {Path: /image.sif, Type: remote}}",
            REMOTE,
            "3: Environment.Singularity: is an older spelling; write Environment.Apptainer",
        ),
        (
            "Environment: {PreRunCommand: {Command: ls, ExecuteOnLoginNode: true}}",
            {"PreRunCommandOnLoginNode": ["ls"]},
            "3: Environment.PreRunCommand: is an older spelling; write Environment.PreRunCommandOnLoginNode",
        ),
        (
            "Environment: {PreRunCommand: {Command: [ls, date], ExecuteOnLoginNode: False}}",
            {"PreRunCommandOnComputeNode": ["ls", "date"]},
            "3: Environment.PreRunCommand: is an older spelling; write Environment.PreRunCommandOnComputeNode",
        ),
        (
            "Environment: {OMP_NUM_THREADS: 4, FLAG: on}",
            {"Variables": {"OMP_NUM_THREADS": "4", "FLAG": "on"}},
            "3: Environment: variables directly under Environment are an older spelling; "
            "write them under Environment.Variables",
        ),
    ],
)
def test_older_spellings(older: str, environment: object, warning: str) -> None:
    assert parse_config(SMALL + older).config.to_published()["Environment"] == environment
    assert warnings(SMALL + older) == [f"mantik.yaml:{warning}"]


def test_older_spellings_together() -> None:
    text = SMALL + "SingularityImage: image.sif\nEnvironment: {A: 1}\n"
    assert len(warnings(text)) == 2
    assert parse_config(text).config.to_published()["Environment"] == IMAGE | {"Variables": {"A": "1"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "SingularityImage: a.sif\nEnvironment: {Apptainer: {Path: b.sif}}",
            "3: SingularityImage: is the older spelling of Environment.Apptainer, which is given too; "
            "keep Environment.Apptainer",
        ),
        (
            "Environment: {PreRunCommand: {Command: ls}}",
            "3: Environment.PreRunCommand: is an older spelling and cannot be read; write PreRunCommandOnLoginNode or "
            "PreRunCommandOnComputeNode (it needs Command and ExecuteOnLoginNode: true or false)",
        ),
        (
            "Environment: {PreRunCommand: {Command: ls, ExecuteOnLoginNode: true, Shell: sh}}",
            "3: Environment.PreRunCommand: is an older spelling and cannot be read; write PreRunCommandOnLoginNode or "
            "PreRunCommandOnComputeNode (unknown key `Shell`)",
        ),
    ],
)
def test_older_spellings_that_cannot_be_read(text: str, message: str) -> None:
    assert errors(SMALL + text) == [f"mantik.yaml:{message}"]


def test_an_error_in_an_older_spelling_is_named_as_written() -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_config(SMALL + "SingularityImage:\n  Path: a.sif\n  Type: near\n", name="mantik.yaml")
    assert str(caught.value) == "mantik.yaml:5: SingularityImage.Type: must be `local` or `remote`, not `near`"
    assert [warning.field for warning in caught.value.warnings] == ["SingularityImage"]


def test_cpus_per_node_alone() -> None:
    assert warnings(resources("CPUsPerNode: 8")) == [
        "mantik.yaml:4: Resources.CPUsPerNode: without TasksPerNode and CPUsPerTask this starts 8 tasks on each node "
        "and sets SRUN_CPUS_PER_TASK to 8, as the published client does; write TasksPerNode and CPUsPerTask"
    ]
    assert warnings(resources("CPUsPerNode: 8\nTasksPerNode: 8")) == []
    assert warnings(resources("CPUsPerNode: 8\nCPUsPerTask: 8")) == []


def test_fewer_cpus_than_those_of_the_nodes() -> None:
    asked = "Nodes: 2\nCPUsPerNode: 8\nTotalCPUs: {}"
    _, second = warnings(resources(asked.format(12)))
    assert second == (
        "mantik.yaml:6: Resources.TotalCPUs: is 12, fewer than the 16 of Nodes 2 with CPUsPerNode 8; make them agree"
    )
    assert len(warnings(resources(asked.format(16)))) == 1
    assert len(warnings(resources("CPUsPerNode: 8\nTotalCPUs: 12"))) == 1


def test_cpus_per_node_alone_with_the_variable_given() -> None:
    text = resources("CPUsPerNode: 8") + "Environment: {Variables: {SRUN_CPUS_PER_TASK: 2}}\n"
    (warning,) = warnings(text)
    assert "SRUN_CPUS_PER_TASK to" not in warning


def test_keys_without_a_value() -> None:
    text = resources("Runtime:\nNodes: null") + "Environment:\nExclude:\nSite:\n"
    assert [line.partition(": has no value")[0] for line in warnings(text)] == [
        "mantik.yaml:4: Resources.Runtime",
        "mantik.yaml:5: Resources.Nodes",
        "mantik.yaml:6: Environment",
        "mantik.yaml:7: Exclude",
        "mantik.yaml:8: Site",
    ]
    assert parse_config(text).config == parse_config(SMALL).config
    (message,) = errors(SMALL + "Exclud:\n")
    assert message == "mantik.yaml:3: Exclud: unknown key `Exclud`; did you mean `Exclude`?"
