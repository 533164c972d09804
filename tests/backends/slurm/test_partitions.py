import pytest

from backends.errors import SiteUnavailable
from backends.slurm.partitions import Sinfo, gpus
from backends.spec import Queue
from tests.backends.slurm import recorded

GIB = 1024**3


def test_recorded_queues() -> None:
    batch, debug, requeue = Sinfo().parse(0, recorded.QUEUES, "")
    assert batch == Queue("batch", True, True, 86400, None, 4, 32, 64 * GIB, 4)
    assert (debug.name, debug.default, debug.max_seconds) == ("debug", False, 300)
    assert requeue.max_seconds == 3600


def test_kinds_of_nodes_are_put_together() -> None:
    printed = recorded.answer(
        "main*|up|infinite|1-16|100|48|95000+|(null)\nmain*|up|infinite|1-16|8|96+|770000|gpu:a100:4(S:0-1)\n"
        "old|inact|2-12:30:00|1|3|16|n/a|(null)\n"
    )
    main, old = Sinfo().parse(0, printed, "")
    assert main == Queue("main", True, True, None, 16, 108, 96, 770000 * 1024**2, 4)
    assert old == Queue("old", False, False, 2 * 86400 + 12 * 3600 + 1800, 1, 3, 16, None, 0)


@pytest.mark.parametrize(
    ("gres", "count"),
    [("(null)", 0), ("gpu:4", 4), ("gpu:a100:4(S:0-1),gpu:h100:2", 6), ("fpga:2,craynetwork:1", 0), ("gpu", 0)],
)
def test_gpus(gres: str, count: int) -> None:
    assert gpus(gres) == count


def test_no_answer() -> None:
    with pytest.raises(SiteUnavailable):
        Sinfo().parse(1, "", "slurm_load_partitions: Unable to contact slurm controller (connect failure)\n")
