import pytest

from backends.errors import SiteUnavailable
from backends.slurm.scheduler import SlurmScheduler
from backends.slurm.search import HistoryByName, QueueByName
from tests.backends.slurm import recorded

TAG = "mantik-r1-1"


def test_queue_is_asked_first() -> None:
    assert [type(command) for command in SlurmScheduler().find(TAG)] == [QueueByName, HistoryByName]


@pytest.mark.parametrize("command", [QueueByName(TAG), HistoryByName(TAG)])
def test_ids_of_this_name_only(command: QueueByName | HistoryByName) -> None:
    printed = recorded.answer(f"7|{TAG}\n7|{TAG}\n8|{TAG}0\n9|allocation\n10|{TAG}\n7.batch|{TAG}\n")
    assert command.parse(0, printed, "") == ["7", "10"]


@pytest.mark.parametrize(
    ("command", "stderr"),
    [
        (QueueByName(TAG), "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"),
        (HistoryByName(TAG), recorded.DATABASE_DOWN[1]),
        (HistoryByName(TAG), "Slurm accounting storage is disabled\n"),
    ],
)
def test_half_an_answer_proves_nothing(command: QueueByName | HistoryByName, stderr: str) -> None:
    with pytest.raises(SiteUnavailable):
        command.parse(1, "", stderr)


def test_only_our_own_jobs_and_far_enough_back() -> None:
    assert "--me" in QueueByName(TAG).argv
    assert "--states=all" in QueueByName(TAG).argv
    assert "--starttime=now-21days" in HistoryByName(TAG).argv
