"""The schema says what the parser says, for files in the present spelling."""

import re

import pytest
import yaml
from hypothesis import given, settings

from compute_backend_configs import InvalidConfig, json_schema, parse_config, parse_config_data, reference
from tests.compute_backend_configs.schema_check import fits
from tests.compute_backend_configs.test_round_trip import CONFIGS
from tests.compute_backend_configs.texts import FULL, SITE, SMALL, resources

SCHEMA = json_schema()
EXAMPLES = [path.read_text(encoding="utf-8") for path in reference.FILE.parents[1].glob("examples/*/mantik-*.yaml")]
PAGE = re.findall(r"```yaml\n(.*?)```", reference.page(), re.DOTALL)


def in_an_editor(text: str) -> bool:
    """Whether an editor that reads YAML as PyYAML does accepts the text."""
    return fits(yaml.safe_load(text), SCHEMA, SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        SMALL,
        "Local:",
        "Local: {}",
        *EXAMPLES,
        *PAGE,
        SMALL + "Environment: {Variables: {A: 1, B: true, C: 1.5, D: on}, Modules: [3.10, 2024], Python: /a}",
        SMALL + "Environment: {PreRunCommandOnLoginNode: ls, PostRunCommandOnLoginNode: [ls]}",
        resources("Runtime: 1:30:00\nMemoryPerNode: 16G\nQoS: 2"),
    ],
)
def test_what_the_parser_takes_without_a_warning(text: str) -> None:
    assert parse_config(text).warnings == ()
    assert in_an_editor(text)


@pytest.mark.parametrize(
    "text",
    [
        "Resources: {Queue: a}",
        SITE,
        SMALL + "Site: a",
        SMALL + "Exclud: []",
        SMALL + "Exclude: a",
        SITE + "Resources: {Nodes: 1}",
        "SSH: {Port: 22}\nResources: {Queue: a}",
        "SSH: {Hostname: a, Port: 70000}\nResources: {Queue: a}",
        resources("QoS: a b"),
        resources("Nodes: 0"),
        resources("Nodes: true"),
        resources("Nodes: 1.5"),
        resources("Queu: a"),
        SMALL + "Environment: {Python: venv}",
        SMALL + "Environment: {Variables: {my-var: 1}}",
        SMALL + "Environment: {Variables: {A: null}}",
        SMALL + "Environment: {Variables: {A: [1]}}",
        SMALL + "Environment: {Modules: a}",
        SMALL + "Environment: {Apptainer: {Type: local}}",
        SMALL + "Environment: {Apptainer: {Path: a, Type: near}}",
    ],
)
def test_what_both_refuse(text: str) -> None:
    with pytest.raises(InvalidConfig):
        parse_config(text)
    assert not in_an_editor(text)


@settings(max_examples=100, deadline=None)
@given(CONFIGS)
def test_any_valid_data_and_what_is_stored_of_it(data: dict[str, object]) -> None:
    assert fits(data, SCHEMA, SCHEMA)
    assert fits(parse_config_data(data).config.to_published(), SCHEMA, SCHEMA)


def test_the_examples_are_found() -> None:
    assert len(EXAMPLES) >= 4
    assert len(PAGE) == 1
