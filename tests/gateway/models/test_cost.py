"""What a job cost, by what the site told."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.models.cost import Cost, cost_of, count_hosts

BEGAN = datetime(2026, 5, 1, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=90)


def test_slurm_tells_all() -> None:
    usage = {"elapsed": "5400", "cputime": "259200", "alloctres": "billing=48,cpu=48,gres/gpu=4,mem=1G,node=1"}
    assert cost_of(usage, "n1", {}, None, None) == Cost(5400.0, 1, 1.5, 72.0, 6.0, 48.0)


def test_gpus_are_none_where_none_were_asked_for_and_unknown_where_they_were() -> None:
    usage = {"elapsed": "3600", "alloctres": "cpu=8,node=2"}
    assert cost_of(usage, "", {}, None, None) == Cost(3600.0, 2, 2.0, 8.0, 0.0, None)
    assert cost_of(usage, "", {"GPUsPerNode": 4}, None, None).gpu_hours is None


def test_unicore_tells_seconds_and_our_own_times_stand_in() -> None:
    assert cost_of({"elapsed": "120 s", "queued": "7"}, "n[1-2]", {}, BEGAN, ENDED) == Cost(
        120.0, 2, round(240 / 3600, 6)
    )
    assert cost_of({}, "", {}, BEGAN, ENDED) == Cost(elapsed_seconds=5400.0)
    odd = {"elapsed": "soon", "cputime": "much", "alloctres": "node=all"}
    assert cost_of(odd, "", {"GPUsPerNode": 1}, None, None) == Cost()


@pytest.mark.parametrize(
    ("text", "count"),
    [("", None), ("n1", 1), ("a,b,c", 3), ("n[1-3,7]", 4), ("n[01-10],login1", 11), ("n[1-2]-ib,g[3]", 3)],
)
def test_hosts_are_counted(text: str, count: int | None) -> None:
    assert count_hosts(text) == count
