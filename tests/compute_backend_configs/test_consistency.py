"""Numbers that are each valid and cannot all be true."""

import pytest

from tests.compute_backend_configs.texts import errors, resources, warnings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            resources("Nodes: 2\nTotalCPUs: 12\nCPUsPerNode: 8\nTasksPerNode: 4"),
            "5: Resources.TotalCPUs: is 12, but Nodes 2, 4 tasks on each and 2 CPUs for each task make 16 CPUs",
        ),
        (
            resources("Nodes: 2\nTotalCPUs: 12\nCPUsPerNode: 8\nCPUsPerTask: 2"),
            "5: Resources.TotalCPUs: is 12, but Nodes 2, 4 tasks on each and 2 CPUs for each task make 16 CPUs",
        ),
        (
            resources("Nodes: 2\nTotalCPUs: 6\nTasksPerNode: 4"),
            "5: Resources.TotalCPUs: is 6, but Nodes 2 with TasksPerNode 4 need at least 8 CPUs",
        ),
        (
            resources("CPUsPerNode: 8\nTasksPerNode: 4\nCPUsPerTask: 4"),
            "4: Resources.CPUsPerNode: is 8, but TasksPerNode 4 with CPUsPerTask 4 need 16 CPUs on each node",
        ),
        (
            resources("CPUsPerNode: 8\nTasksPerNode: 3"),
            "4: Resources.CPUsPerNode: is 8, which cannot be divided among TasksPerNode 3",
        ),
        (
            resources("CPUsPerNode: 8\nCPUsPerTask: 3"),
            "4: Resources.CPUsPerNode: is 8, which is no multiple of CPUsPerTask 3",
        ),
        (resources("Nodes: 4\nTotalCPUs: 2"), "5: Resources.TotalCPUs: is 2, but Nodes 4 need at least 4 CPUs"),
        (
            resources("Nodes: 2\nTotalCPUs: 20\nCPUsPerNode: 8"),
            "5: Resources.TotalCPUs: is 20, but Nodes 2 with CPUsPerNode 8 have 16 CPUs",
        ),
        (
            resources("Nodes: 2\nTotalCPUs: 20\nTasksPerNode: 4\nCPUsPerTask: 2"),
            "5: Resources.TotalCPUs: is 20, but Nodes 2, 4 tasks on each and 2 CPUs for each task make 16 CPUs",
        ),
    ],
)
def test_a_contradiction_is_one_sentence(text: str, message: str) -> None:
    assert errors(text) == [f"mantik.yaml:{message}"]


@pytest.mark.parametrize(
    "lines",
    [
        "Nodes: 2\nTotalCPUs: 16\nCPUsPerNode: 8\nTasksPerNode: 4\nCPUsPerTask: 2",
        "Nodes: 2\nTotalCPUs: 16\nCPUsPerNode: 8\nTasksPerNode: 4",
        "Nodes: 2\nTotalCPUs: 16\nCPUsPerNode: 8\nCPUsPerTask: 2",
        "Nodes: 2\nTotalCPUs: 16\nTasksPerNode: 4",
        "CPUsPerNode: 48\nTasksPerNode: 4\nCPUsPerTask: 6",
        "TotalCPUs: 3\nTasksPerNode: 4",
    ],
)
def test_numbers_that_agree(lines: str) -> None:
    assert warnings(resources(lines)) == []
