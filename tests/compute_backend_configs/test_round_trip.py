"""Whatever is read can be stored, and read again as the same."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_backend_configs import LoadedConfig, parse_config, parse_config_data
from tests.compute_backend_configs.texts import FULL, SMALL, resources

PLAIN = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")), min_size=1, max_size=20)
COUNT = st.integers(1, 10_000_000)
VARIABLES = st.dictionaries(
    st.from_regex("[A-Za-z_][A-Za-z0-9_]*", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.integers(-(10**17), 10**17),
    max_size=4,
)
CONFIGS = st.fixed_dictionaries(
    {"Site": PLAIN, "Resources": st.fixed_dictionaries(
        {"Queue": PLAIN},
        optional={
            "Runtime": st.integers(0, 3650 * 86400) | st.from_regex("[0-9]{1,3}[dhms]", fullmatch=True),
            "Nodes": COUNT,
            "CPUsPerNode": COUNT,
            "GPUsPerNode": st.integers(0, 16),
            "MemoryPerNode": COUNT | st.from_regex("[1-9][0-9]{0,2}(\\.[0-9])? ?[KMGT](iB|B)?", fullmatch=True),
            "QoS": PLAIN,
        },
    )},
    optional={
        "Environment": st.fixed_dictionaries({}, optional={"Variables": VARIABLES, "Modules": st.lists(PLAIN)}),
        "Exclude": st.lists(PLAIN),
    },
)  # fmt: skip


def check(loaded: LoadedConfig) -> None:
    stored = loaded.config.to_published()
    again = parse_config_data(json.loads(json.dumps(stored)))
    assert again.config == loaded.config
    assert again.config.to_published() == stored
    assert {warning.field for warning in again.warnings} <= {"Resources.CPUsPerNode", "Resources.TotalCPUs"}
    assert parse_config(json.dumps(stored)).config == loaded.config


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        SMALL,
        "Local:",
        "Local: {}\nResources: {CPUsPerNode: 2}",
        resources("CPUsPerNode: 8\nRuntime: 90\nMemoryPerNode: 16"),
        resources("CPUsPerNode: 8\nTasksPerNode: 2"),
        SMALL + "SingularityImage: image.sif\nEnvironment: {A: 1}",
    ],
)
def test_texts(text: str) -> None:
    check(parse_config(text))


@settings(max_examples=200, deadline=None)
@given(CONFIGS)
def test_any_valid_data(data: dict[str, object]) -> None:
    check(parse_config_data(data))


def test_units_are_written_out_and_what_is_only_a_default_is_not() -> None:
    text = resources("CPUsPerNode: 8\nRuntime: 90\nMemoryPerNode: 16")
    assert parse_config(text).config.to_published() == {
        "SSH": {"Hostname": "login.example.org", "Port": 22},
        "Resources": {"Queue": "batch", "Runtime": "1m30s", "CPUsPerNode": 8, "MemoryPerNode": "16M"},
    }
