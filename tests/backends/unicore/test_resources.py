import pytest

from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.unicore.resources import translate
from tests.backends.unicore.requests import wanted

CARRIED: list[tuple[dict[str, object], dict[str, str]]] = [
    ({}, {}),
    ({"Runtime": "12h"}, {"Runtime": "43200"}),
    ({"Runtime": "90s"}, {"Runtime": "120"}),
    ({"Runtime": 0}, {}),
    ({"Nodes": 2}, {"Nodes": "2"}),
    ({"Nodes": 2, "CPUsPerNode": 4}, {"Nodes": "2", "CPUsPerNode": "4"}),
    ({"Nodes": 2, "TasksPerNode": 4}, {"Nodes": "2", "CPUsPerNode": "4"}),
    ({"Nodes": 2, "TasksPerNode": 4, "CPUsPerTask": 1}, {"Nodes": "2", "CPUsPerNode": "4"}),
    ({"Nodes": 2, "CPUsPerNode": 4, "TotalCPUs": 8}, {"Nodes": "2", "CPUsPerNode": "4"}),
    ({"TotalCPUs": 6}, {"TotalCPUs": "6"}),
    ({"MemoryPerNode": "500M"}, {"MemoryPerNode": "500M"}),
    ({"MemoryPerNode": "2047M"}, {"MemoryPerNode": "2047M"}),
    ({"MemoryPerNode": "1.5G"}, {"MemoryPerNode": "1536M"}),
    ({"MemoryPerNode": "1K"}, {"MemoryPerNode": "1M"}),
    ({"GPUsPerNode": 0}, {}),
    ({"QoS": "high", "Reservation": "maint_1"}, {"QoS": "high", "Reservation": "maint_1"}),
    ({"NodeConstraints": "a100|h100"}, {"NodeConstraints": "a100|h100"}),
]

LOST: list[tuple[dict[str, object], list[str]]] = [
    ({"MemoryPerNode": "2G"}, ["Resources.MemoryPerNode"]),
    ({"MemoryPerNode": "2048M"}, ["Resources.MemoryPerNode"]),
    ({"MemoryPerNode": "16 GiB"}, ["Resources.MemoryPerNode"]),
    ({"GPUsPerNode": 4}, ["Resources.GPUsPerNode"]),
    ({"GPUsPerNode": 4, "MemoryPerNode": "64G"}, ["Resources.MemoryPerNode", "Resources.GPUsPerNode"]),
    ({"CPUsPerNode": 4}, ["Resources.CPUsPerNode"]),
    ({"TasksPerNode": 4}, ["Resources.TasksPerNode"]),
    ({"Nodes": 2, "TasksPerNode": 4, "CPUsPerTask": 12}, ["Resources.CPUsPerTask"]),
    ({"Nodes": 2, "TasksPerNode": 4, "CPUsPerNode": 48}, ["Resources.CPUsPerNode"]),
    ({"Nodes": 2, "TasksPerNode": 4, "TotalCPUs": 16}, ["Resources.TotalCPUs"]),
    ({"CPUsPerTask": 12}, ["Resources.CPUsPerTask"]),
    ({"Nodes": 2, "TotalCPUs": 6}, ["Resources.TotalCPUs"]),
    ({"Queue": "gpu,batch"}, ["Resources.Queue"]),
]


@pytest.mark.parametrize(("resources", "sent"), CARRIED)
def test_what_unicore_carries(resources: dict[str, object], sent: dict[str, str]) -> None:
    translation = translate(wanted(resources))
    assert (translation.resources, translation.losses) == ({"Queue": "batch", **sent}, ())


@pytest.mark.parametrize(("resources", "fields"), LOST)
def test_what_would_be_lost(resources: dict[str, object], fields: list[str]) -> None:
    translation = translate(wanted(resources))
    assert [loss.field for loss in translation.losses] == fields
    # What is lost is not sent as well: memory beside GPUs would become the number of GPUs.
    assert not {field.removeprefix("Resources.") for field in fields} & set(translation.resources)


def test_text_of_a_loss_names_value_and_limit() -> None:
    (loss,) = translate(wanted({"MemoryPerNode": "16G"})).losses
    assert loss.why == "is 16G, and UNICORE hands on no more than 2047M"


@pytest.mark.parametrize("resources", [{"NodeConstraints": "a b"}, {"QoS": "x;y"}, {"Reservation": "$(id)"}])
def test_nothing_reaches_the_sites_shell(resources: dict[str, object]) -> None:
    with pytest.raises(InvalidJob, match=f"Resources.{next(iter(resources))} cannot be") as caught:
        translate(wanted(resources))
    assert caught.value.reason is Reason.INVALID_CONFIG
