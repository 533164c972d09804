import pytest

from backends.errors import SiteUnavailable
from backends.reasons import Reason
from backends.slurm.accounting import Sacct
from backends.spec import Phase
from tests.backends.slurm import recorded

QUERY = Sacct(("1", "3", "10"))


@pytest.mark.parametrize(
    ("job_id", "phase", "exit_code", "signal", "reason", "state"),
    [
        ("3", Phase.ENDED, 0, None, None, "COMPLETED"),
        ("1", Phase.ENDED, 3, None, None, "FAILED"),
        ("11", Phase.ENDED, None, None, Reason.CANCELLED_ON_SITE, "CANCELLED by 1001"),
        ("12", Phase.ENDED, None, None, Reason.TIME_LIMIT, "TIMEOUT"),
        ("13", Phase.ENDED, None, None, Reason.NODE_FAILURE, "NODE_FAIL"),
        ("15", Phase.ENDED, None, None, Reason.NODE_FAILURE, "FAILED 0:53"),
        ("16", Phase.ENDED, None, 9, None, "FAILED"),
        ("17", Phase.ENDED, 9, None, None, "FAILED"),
        ("10", Phase.ENDED, None, None, Reason.PREEMPTED, "PREEMPTED"),
        ("19", Phase.QUEUED, None, None, None, "PENDING"),
    ],
)
def test_recorded_ends(
    job_id: str, phase: Phase, exit_code: int | None, signal: int | None, reason: Reason | None, state: str
) -> None:
    record = QUERY.parse(0, recorded.HISTORY, "")[job_id]
    assert (record.phase, record.exit_code, record.signal, record.reason) == (phase, exit_code, signal, reason)
    assert record.state == state


def test_restarts_are_the_rows_before_the_last() -> None:
    record = QUERY.parse(0, recorded.HISTORY, "")["10"]
    assert record.restarts == 1
    assert record.usage["elapsed"] == "17"
    assert record.usage["cputime"] == "544"
    assert record.usage["billing"] == "32"


def test_out_of_memory_by_state() -> None:
    line = recorded.answer("5|OUT_OF_MEMORY|0:125|2026-11-21T10:01:57|Unknown|Unknown|a|1|1||c1\n")
    assert QUERY.parse(0, line, "")["5"].reason is Reason.OUT_OF_MEMORY


def test_state_of_a_newer_slurm_is_no_end() -> None:
    line = recorded.answer("5|EXPEDITING|0:0|2026-11-21T10:01:57|Unknown|Unknown|a|1|1||c1\n")
    assert QUERY.parse(0, line, "")["5"].phase is Phase.RUNNING


def test_unknown_jobs_are_left_out() -> None:
    assert QUERY.parse(0, "", "") == {}


def test_site_without_accounting_has_no_history() -> None:
    assert QUERY.parse(1, "", "Slurm accounting storage is disabled\n") == {}


def test_database_down_is_no_answer() -> None:
    code, stderr = recorded.DATABASE_DOWN
    with pytest.raises(SiteUnavailable):
        QUERY.parse(code, "", stderr)
