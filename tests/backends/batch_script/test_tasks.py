import pytest

from backends.batch_script.tasks import Tasks, tasks_of
from backends.errors import InvalidJob
from backends.reasons import Reason
from tests.backends.slurm.requests import request


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, Tasks()),
        ({"CPUsPerNode": 48}, Tasks(None, 48, None)),  # as published
        ({"CPUsPerNode": 48, "TasksPerNode": 4}, Tasks(None, 4, 12)),
        ({"CPUsPerNode": 48, "CPUsPerTask": 12}, Tasks(None, 4, 12)),
        ({"TasksPerNode": 4, "CPUsPerTask": 12}, Tasks(None, 4, 12)),
        ({"TotalCPUs": 96}, Tasks(96, None, None)),
        ({"TotalCPUs": 96, "Nodes": 2, "CPUsPerNode": 48}, Tasks(96, 48, None)),
        ({"TotalCPUs": 96, "CPUsPerTask": 12}, Tasks(8, None, 12)),
        ({"TotalCPUs": 96, "Nodes": 2, "CPUsPerNode": 48, "TasksPerNode": 4}, Tasks(8, 4, 12)),
        ({"TotalCPUs": 96, "Nodes": 2, "TasksPerNode": 4}, Tasks(8, 4, 12)),
    ],
)
def test_tasks(resources: dict[str, object], expected: Tasks) -> None:
    assert tasks_of(request(resources=resources).config.resources) == expected


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"TotalCPUs": 10, "CPUsPerTask": 4}, r"TotalCPUs \(10\) is no multiple of CPUsPerTask \(4\)"),
        ({"TotalCPUs": 11, "Nodes": 2, "TasksPerNode": 2}, r"TotalCPUs \(11\) is no multiple of Nodes times"),
    ],
)
def test_cpus_that_cannot_be_shared_out(resources: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidJob, match=sentence) as caught:
        tasks_of(request(resources=resources).config.resources)
    assert caught.value.reason is Reason.INVALID_CONFIG
