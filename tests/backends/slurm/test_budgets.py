import pytest

from backends.errors import SiteUnavailable
from backends.slurm.budgets import Budget, Budgets, UserAccounts, with_rest
from backends.spec import Account
from tests.backends.slurm import recorded


def test_recorded_accounts() -> None:
    accounts = UserAccounts("alice").parse(0, recorded.ACCOUNTS, "")
    assert accounts == (Account("one-job"), Account("tiny"), Account("budget-a", default=True))


def test_account_bound_to_queues() -> None:
    assert UserAccounts("alice").parse(0, "a|a|batch\na|a|gpu\na||\n", "") == (Account("a", True, ("batch", "gpu")),)


def test_recorded_budgets() -> None:
    budgets = Budgets(("tiny", "budget-a")).parse(0, recorded.BUDGETS, "")
    assert budgets == {"budget-a": Budget((), "root"), "tiny": Budget(((1.0, "CPU minutes"),), "root")}


@pytest.mark.parametrize(
    ("budgets", "remaining", "unit"),
    [
        ({}, None, ""),
        ({"a": Budget()}, None, ""),
        ({"a": Budget(((90.0, "GPU minutes"), (500.0, "CPU minutes")))}, 90.0, "GPU minutes"),
        ({"a": Budget(((90.0, "x"),), "b"), "b": Budget(((-3.0, "y"),))}, 0.0, "y"),
        ({"a": Budget((), "a")}, None, ""),
    ],
)
def test_smallest_rest_of_all_levels(budgets: dict[str, Budget], remaining: float | None, unit: str) -> None:
    account = with_rest(Account("a"), budgets)
    assert (account.remaining, account.unit) == (remaining, unit)


def test_database_down() -> None:
    with pytest.raises(SiteUnavailable):
        UserAccounts("alice").parse(1, "", "sacctmgr: error: Problem talking to the database: Connection refused\n")
