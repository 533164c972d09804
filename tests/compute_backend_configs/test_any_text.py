"""No text, file or data leads to anything but a config or InvalidConfig."""

import json

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_backend_configs import InvalidConfig, LoadedConfig, parse_config, parse_config_data
from tests.compute_backend_configs.texts import FULL

MARKS = st.sampled_from(
    [*"{}[]:,-?&*!|>'\"%@`#<~ \t\n\r\0\ufeff\u2028", "---\n", "...\n", "<<: ", "*a", "&a ", "!!str ", "\\x"]
)
KEYS = st.sampled_from(
    ["Local", "SSH", "Site", "Hostname", "Environment", "Apptainer", "Python", "Variables", "Modules", "Path", "Type",
     "Options", "PreRunCommand", "Command", "ExecuteOnLoginNode", "SingularityImage", "Singularity", "Resources",
     "Queue", "Runtime", "Nodes", "TotalCPUs", "CPUsPerNode", "TasksPerNode", "CPUsPerTask", "MemoryPerNode", "Exclude",
     "UnicoreApiUrl", "Firecrest", "QoS"]
)  # fmt: skip
VALUES = st.sampled_from(["1", "0", "-1", "16G", "true", "null", "12:30:00", "/venv", "https://a", "[::1]", "http://["])
YAML_LIKE = st.lists(MARKS | KEYS.map("{}: ".format) | VALUES | st.text(max_size=3), max_size=60).map("".join)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | VALUES | st.text(max_size=10)
DATA = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), children, max_size=4),
    max_leaves=8,
)


def outcome(data: str | dict[str, object]) -> LoadedConfig | InvalidConfig:
    try:
        return parse_config(data) if isinstance(data, str) else parse_config_data(data)
    except InvalidConfig as error:
        return error


def check(data: str | dict[str, object]) -> None:
    found = outcome(data)
    if isinstance(found, InvalidConfig):
        assert found.problems
        assert all(problem.message and problem.severity == "error" for problem in found.problems)
        assert len(str(found).splitlines()) == len(found.problems)
    else:
        json.dumps(found.config.to_published(), allow_nan=False).encode()
    assert all(warning.severity == "warning" for warning in found.warnings)


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_text(text: str) -> None:
    check(text)


@settings(max_examples=500, deadline=None)
@given(YAML_LIKE)
def test_text_that_looks_like_yaml(text: str) -> None:
    check(text)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(FULL)), st.integers(0, 20), MARKS | VALUES | st.text(max_size=3))
def test_a_config_with_a_slip(at: int, cut: int, put: str) -> None:
    check(FULL[:at] + put + FULL[at + cut :])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, DATA, max_size=5))
def test_data(data: dict[str, object]) -> None:
    check(data)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, DATA, max_size=5))
def test_dumped_data(data: dict[str, object]) -> None:
    check(json.dumps(data))
    check(yaml.safe_dump(data, allow_unicode=True))
