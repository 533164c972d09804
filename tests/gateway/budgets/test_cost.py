"""The worst case of a run: what the config asks for, and what it leaves open is not known."""

from typing import Any

import pytest

from compute_backend_configs import parse_config_data
from gateway.budgets.cost import Figure, WorstCase, worst_case
from gateway.sites.rows import Site

QUEUES = {"site": {"queues": [{"name": "batch", "cpusPerNode": 128, "gpusPerNode": 4, "default": True}]}}
WHOLE = {"Nodes": 2, "CPUsPerNode": 1, "Runtime": "1h"}


def worst(resources: dict[str, Any], *, whole: bool = False, last_check: Any = None) -> WorstCase:
    data = {"Site": "fake", "Resources": {"Queue": "batch", **resources}}
    site = Site(name="fake", kind="slurm", whole_nodes_charged=whole)
    return worst_case(parse_config_data(data, name="config").config, site, last_check or {})


@pytest.mark.parametrize(
    ("resources", "core", "gpu"),
    [
        ({"Nodes": 2, "CPUsPerNode": 64, "Runtime": "8h"}, 1024.0, 0.0),
        ({"Nodes": 1, "TasksPerNode": 4, "CPUsPerTask": 8, "Runtime": "30m"}, 16.0, 0.0),
        ({"Nodes": 2, "CPUsPerTask": 8, "Runtime": "1h"}, 16.0, 0.0),
        ({"TotalCPUs": 48, "Runtime": "2h"}, 96.0, 0.0),
        ({"Nodes": 2, "CPUsPerNode": 8, "GPUsPerNode": 4, "Runtime": "3h"}, 48.0, 24.0),
        ({"Nodes": 1, "CPUsPerNode": 60, "Runtime": "61s"}, 2.0, 0.0),  # the scheduler counts whole minutes
    ],
)
def test_nodes_times_cpus_times_limit(resources: dict[str, Any], core: float, gpu: float) -> None:
    assert worst(resources) == WorstCase(Figure(core), Figure(gpu))


@pytest.mark.parametrize(
    ("resources", "missing"),
    [
        ({"Nodes": 1, "CPUsPerNode": 4}, ("Resources.Runtime",)),
        ({"Nodes": 1, "CPUsPerNode": 4, "Runtime": 0}, ("Resources.Runtime",)),
        ({"Nodes": 1, "Runtime": "1h"}, ("Resources.CPUsPerNode",)),
        ({"CPUsPerNode": 4, "Runtime": "1h"}, ("Resources.Nodes",)),
        ({}, ("Resources.Nodes", "Resources.CPUsPerNode", "Resources.Runtime")),
    ],
)
def test_what_the_config_leaves_open_is_not_known_and_never_nothing(
    resources: dict[str, Any], missing: tuple[str, ...]
) -> None:
    assert worst(resources) == WorstCase(Figure(None, missing), Figure(0.0))


def test_gpus_without_a_number_of_nodes_are_not_known() -> None:
    found = worst({"TotalCPUs": 8, "GPUsPerNode": 2, "Runtime": "1h"})
    assert found == WorstCase(Figure(8.0), Figure(None, ("Resources.Nodes",)))
    assert found.missing == ("Resources.Nodes",)


def test_a_site_that_charges_whole_nodes_counts_all_that_they_have() -> None:
    assert worst(WHOLE, whole=True, last_check=QUEUES) == WorstCase(Figure(256.0), Figure(8.0))
    assert worst(WHOLE, last_check=QUEUES) == WorstCase(Figure(2.0), Figure(0.0))


def test_whole_nodes_of_an_unknown_size_are_not_known() -> None:
    assert worst(WHOLE, whole=True).core == Figure(None, ("nodeSize",))
