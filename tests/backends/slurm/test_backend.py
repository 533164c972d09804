"""`check` over recorded answers: what is told when a part of Slurm is away."""

import pytest

from backends.errors import SiteUnavailable
from backends.host.shell import Completed
from backends.slurm.backend import SlurmBackend
from backends.slurm.scheduler import SlurmScheduler
from backends.spec import Account, Site
from tests.backends.slurm import recorded

CHECKED = b"user=alice\nhost=login1\nroot=/home/alice/mantik\nbytes=1000\ninodes=10\nfilesystem=gpfs\n"
DOWN = Completed(1, b"", recorded.DATABASE_DOWN[1].encode())


class Recorded:
    """A shell whose Slurm answers as recorded, or as told."""

    def __init__(self, **other: Completed) -> None:
        self.answers = {
            "scontrol --version": Completed(0, b"slurm-wlm 22.05.8\n", b""),
            "sinfo": Completed(0, recorded.QUEUES.encode(), b""),
            "sacctmgr": Completed(0, recorded.ACCOUNTS.encode(), b""),
            "scontrol show": Completed(0, recorded.BUDGETS.encode(), b""),
            **{name.replace("_", " "): answer for name, answer in other.items()},
        }
        self.asked: list[str] = []

    async def run(self, verb: str, *words: str, stdin: bytes = b"", time_limit: float = 60) -> Completed:
        if verb == "check":
            return Completed(0, CHECKED, b"")
        line = " ".join(words)
        self.asked.append(line)
        return next(answer for program, answer in self.answers.items() if f" {program} " in f"{line} ")

    async def aclose(self) -> None:
        return None


def backend(shell: Recorded) -> SlurmBackend:
    return SlurmBackend(shell, SlurmScheduler(), Site("s", "centre", "slurm"))


async def test_everything_is_told() -> None:
    shell = Recorded()
    info = await backend(shell).check()
    assert (info.user, info.host, info.version) == ("alice", "login1", "Slurm 22.05.8")
    assert [queue.name for queue in info.queues] == ["batch", "debug", "requeue"]
    assert info.accounts == (
        Account("one-job"),
        Account("tiny", remaining=1.0, unit="CPU minutes"),
        Account("budget-a", default=True),
    )
    assert (info.free_bytes, info.free_inodes, info.shared_file_system) == (1000, 10, True)
    assert info.notes == ()
    assert "accounts=one-job,tiny,budget-a" in shell.asked[-2]
    assert "accounts=root" in shell.asked[-1], "the account above may have a budget, too"


async def test_accounting_away_is_a_note() -> None:
    info = await backend(Recorded(sacctmgr=DOWN)).check()
    assert info.accounts == ()
    assert info.queues
    assert "accounting does not answer" in info.notes[0]
    assert "Problem talking to the database" in info.notes[0]


async def test_no_account_is_a_note() -> None:
    info = await backend(Recorded(sacctmgr=Completed(0, b"", b""))).check()
    assert "knows no account of alice" in info.notes[0]


async def test_hidden_budgets_are_a_note() -> None:
    hidden = Completed(1, b"", b"scontrol: error: Access/permission denied\n")
    info = await backend(Recorded(scontrol_show=hidden)).check()
    assert [account.name for account in info.accounts] == ["one-job", "tiny", "budget-a"]
    assert "does not tell what is left" in info.notes[0]


async def test_host_without_slurm_is_named() -> None:
    missing = Completed(127, b"", b"env: 'sinfo': No such file or directory\n")
    with pytest.raises(SiteUnavailable, match="no sinfo"):
        await backend(Recorded(sinfo=missing)).check()
