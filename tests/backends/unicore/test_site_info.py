from typing import Any

import pytest

from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import Account, Queue
from backends.unicore.description import describe
from backends.unicore.limits import refuse_beyond
from backends.unicore.site_info import partitions_of, role_of, site_info, submission_off
from tests.backends.unicore.requests import request

BASE: dict[str, Any] = {
    "server": {
        "version": "11.0.0",
        "siteName": "TEST",
        "jobSubmission": {"enabled": True, "message": ""},
        "externalConnections": {"TSI 1": "OK"},
    },
    "client": {
        "role": {"selected": "user", "availableRoles": ["user"]},
        "dn": "CN=Alice, O=Users",
        "xlogin": {"UID": "alice1", "availableUIDs": ["alice1"]},
    },
}
FACTORY: dict[str, Any] = {
    "resources": {
        "batch": {
            "GPUsPerNode": "0-8",
            "CPUsPerNode": "1-64",
            "Project": ["proj1", "proj2"],
            "Runtime": "1-86400",
            "MemoryPerNode": "1048576-68719476736",
            "Nodes": "1-16",
            "TotalCPUs": "1-1024",
            "Odd": "many",
        },
        "devel": {"Project": ["proj1"], "Runtime": "1-600", "Nodes": "1-1"},
    },
    "remainingComputeTime": {},
    "otherInfo": {},
}


def info(base: dict[str, Any] = BASE, **factory: Any) -> Any:
    return site_info(base, FACTORY | factory, host="unicore.centre.eu", work_directory="/home/alice1/mantik")


def test_who_and_where() -> None:
    assert (info().user, info().version, info().host) == ("alice1", "UNICORE/X 11.0.0", "unicore.centre.eu")
    assert role_of(BASE) == "user"


@pytest.mark.parametrize(
    "base", [{}, {"client": {}}, {"client": {"role": {}}}, {"client": {"role": {"selected": None}}}]
)
def test_no_role_is_anonymous(base: dict[str, Any]) -> None:
    assert role_of(base) == "anonymous"


def test_queues_with_their_limits() -> None:
    assert info().queues == (
        Queue("batch", False, True, 86400, 16, None, 64, 64 << 30, 8),
        Queue("devel", False, True, 600, 1, None, None, None, None),
    )


def test_the_only_queue_is_the_default() -> None:
    (queue,) = info(resources={"all": {"Nodes": "1-4"}}).queues
    assert queue.default


@pytest.mark.parametrize(
    ("told", "accounts", "notes"),
    [
        ({}, (None, None), ()),
        ({"__CURRENT_PROJECT__": {"remaining": "-1", "rel": "0", "units": ""}}, (None, None), ()),
        ({"proj1": {"remaining": "1200", "rel": "80", "units": "core-h"}}, (1200.0, None), ()),
        ({"proj1": {"remaining": "none"}}, (None, None), ()),
        (
            {"__CURRENT_PROJECT__": {"remaining": "7", "units": "core-h"}},
            (None, None),
            ("7 core-h are left on your project; the site does not tell on which.",),
        ),
    ],
)
def test_budgets(told: Any, accounts: tuple[float | None, float | None], notes: tuple[str, ...]) -> None:
    found = info(remainingComputeTime=told)
    assert [(a.name, a.queues) for a in found.accounts] == [("proj1", ("batch", "devel")), ("proj2", ("batch",))]
    assert tuple(a.remaining for a in found.accounts) == accounts
    assert found.notes == notes


def test_budget_of_a_project_that_no_queue_lists() -> None:
    told = {"proj9": {"remaining": "5", "units": "node-h"}}
    assert info(remainingComputeTime=told).accounts[-1] == Account("proj9", False, (), 5.0, "node-h")


def test_what_a_person_should_know() -> None:
    base = {**BASE, "server": {**BASE["server"], "jobSubmission": {"enabled": False, "message": "Down until noon"}}}
    base["server"]["externalConnections"] = {"TSI 1": "CAN'T CONNECT"}
    assert info(base, otherInfo={"MOTD": "New file system"}).notes == (
        "The site takes no jobs now: Down until noon",
        "The server reports TSI 1: CAN'T CONNECT",
        "MOTD: New file system",
    )
    assert submission_off(base) == "Down until noon"
    assert submission_off(BASE) is None


@pytest.mark.parametrize("data", [{}, {"resources": None}, {"resources": {"batch": "?"}}])
def test_a_server_that_tells_nothing(data: dict[str, Any]) -> None:
    found = site_info({}, data, host="h", work_directory="/w")
    assert (found.queues, found.accounts, found.user) == ((), (), "")


REFUSED = [
    ({"Queue": "nope"}, None, "Resources.Queue: the site has no queue 'nope'. It has: batch, devel."),
    ({"Nodes": 99}, None, "Resources.Nodes: 99 asked, and queue batch takes 1 to 16."),
    ({"Runtime": "25h"}, None, "Resources.Runtime: 90000 seconds asked, and queue batch takes 1 to 86400 seconds."),
    (
        {"Queue": "devel", "MemoryPerNode": "500M"},
        None,
        "Resources.MemoryPerNode: queue devel does not take it. Leave it out or choose a queue that does: batch.",
    ),
    (
        {"Queue": "devel"},
        "proj2",
        "The compute budget account 'proj2' is not allowed in queue devel. Allowed there: proj1. proj2 is for: batch.",
    ),
    ({}, "nope", "The compute budget account 'nope' is not allowed in queue batch. Allowed there: proj1, proj2."),
]


@pytest.mark.parametrize(("resources", "account", "sentence"), REFUSED)
def test_refused_before_it_leaves(resources: dict[str, object], account: str | None, sentence: str) -> None:
    with pytest.raises(InvalidJob) as caught:
        refuse_beyond(describe(request(resources, account=account)).body, partitions_of(FACTORY))
    assert caught.value.message == sentence
    assert caught.value.reason is (Reason.BUDGET_REFUSED if account else Reason.INVALID_CONFIG)


def test_memory_is_told_in_the_units_of_the_config() -> None:
    partitions = partitions_of({"resources": {"batch": {"MemoryPerNode": f"{1 << 30}-{2 << 30}"}}})
    with pytest.raises(InvalidJob, match="500 MiB asked, and queue batch takes 1024 to 2048 MiB"):
        refuse_beyond(describe(request({"MemoryPerNode": "500M"})).body, partitions)


def test_words_are_checked_where_the_site_lists_them() -> None:
    partitions = partitions_of({"resources": {"batch": {"QoS": ["normal", "high"]}}})
    refuse_beyond(describe(request({"QoS": "high"})).body, partitions)
    with pytest.raises(InvalidJob, match=r"Resources\.QoS: 'low' asked, and queue batch takes normal, high"):
        refuse_beyond(describe(request({"QoS": "low"})).body, partitions)


@pytest.mark.parametrize(
    "resources", [{"Nodes": 16, "CPUsPerNode": 64}, {"QoS": "q", "NodeConstraints": "a"}, {"GPUsPerNode": 4}]
)
def test_what_fits_is_left_alone(resources: dict[str, object]) -> None:
    body = describe(request(resources, account="proj2")).body
    refuse_beyond(body, partitions_of(FACTORY))
    refuse_beyond(body, {})
