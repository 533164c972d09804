"""What a person is told of a site before a run goes there."""

from typing import Any

import pytest

from compute_backend_configs import parse_config_data
from gateway.sites.advice import warnings
from gateway.sites.rows import Site
from gateway.sites.service import backend_site

QUEUES = [
    {"name": "batch", "default": True, "cpusPerNode": 48, "gpusPerNode": None},
    {"name": "gpu", "default": False, "cpusPerNode": 64, "gpusPerNode": 4},
    {"name": "odd", "default": False, "cpusPerNode": None, "gpusPerNode": None},
]
CHECK = {"site": {"queues": QUEUES}}


def told(wanted: dict[str, Any], last_check: dict[str, Any] | None = None, **site: Any) -> tuple[str, ...]:
    row = Site(
        name="hpc", kind="slurm", **{"compute_nodes_reach_gateway": "direct", "whole_nodes_charged": True, **site}
    )
    config = parse_config_data({"Site": "hpc", "Resources": {"Queue": "batch", **wanted}}).config
    return warnings(row, config, CHECK if last_check is None else last_check)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"TasksPerNode": 4, "CPUsPerTask": 2}, "Site hpc charges 1 whole node: the run takes 8 of 48 CPUs of each."),
        ({"Nodes": 3, "CPUsPerTask": 2}, "Site hpc charges 3 whole nodes: the run takes 2 of 48 CPUs of each."),
        ({"CPUsPerNode": 47}, "Site hpc charges 1 whole node: the run takes 47 of 48 CPUs of each."),
        ({"Nodes": 2, "TotalCPUs": 95}, None),
        ({"Nodes": 2, "TotalCPUs": 94}, "Site hpc charges 2 whole nodes: the run takes 47 of 48 CPUs of each."),
        (
            {"Queue": "gpu", "CPUsPerTask": 64, "GPUsPerNode": 1},
            "Site hpc charges 1 whole node: the run takes 1 of 4 GPUs of each.",
        ),
        ({"Queue": "gpu", "CPUsPerTask": 64, "GPUsPerNode": 4}, None),
        ({"TasksPerNode": 48}, None),
        ({}, None),
        (
            {"Queue": "odd", "CPUsPerTask": 2},
            "Site hpc charges 1 whole node, also where the run takes a part; how large its nodes are is not known.",
        ),
    ],
)
def test_part_of_a_node_where_whole_ones_are_charged(wanted: dict[str, Any], words: str | None) -> None:
    assert told(wanted) == (() if words is None else (words,))
    assert told(wanted, whole_nodes_charged=False) == ()


def test_nothing_is_known_of_the_nodes_before_the_first_check() -> None:
    (text,) = told({"CPUsPerTask": 2}, {})
    assert text.endswith("how large its nodes are is not known.")
    assert told({}, {}) == ()


@pytest.mark.parametrize(
    ("reach", "tracking", "said"),
    [("direct", "direct", False), ("proxy", "direct", False), ("no", "direct", True), ("no", "local", False)],
)
def test_compute_nodes_that_do_not_reach_the_gateway(reach: str, tracking: str, said: bool) -> None:
    found = told({}, compute_nodes_reach_gateway=reach, tracking=tracking)
    assert [text.startswith("Compute nodes of site hpc do not reach the gateway") for text in found] == [True] * said


@pytest.mark.parametrize("allowed", [True, False])
def test_a_backend_is_told_whether_raw_jobs_are_allowed(allowed: bool) -> None:
    row = Site(id=None, name="hpc", kind="slurm", options={"rawJobsAllowed": True, "x": 1}, raw_jobs_allowed=allowed)
    row.host_keys, row.work_directory, row.verify_tls = [], "$HOME", True
    assert backend_site(row).options == {"rawJobsAllowed": allowed, "x": 1}
