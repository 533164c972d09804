from datetime import UTC, datetime

import pytest

from backends.errors import SiteUnavailable
from backends.reasons import Reason
from backends.slurm.queue import Squeue
from backends.spec import Phase
from tests.backends.slurm import recorded

QUERY = Squeue(("10", "11", "12", "19", "99"))


def test_all_jobs_are_asked_for_at_once_in_utc() -> None:
    assert "--jobs=10,11,12,19,99" in QUERY.argv
    assert "TZ=UTC" in QUERY.argv


def test_recorded_answer() -> None:
    records = QUERY.parse(0, "Last login: never\n" + recorded.QUEUE, "")
    live = {job_id: record for job_id, record in records.items() if record.phase is not Phase.ENDED}
    assert {(r.job_id, r.phase, r.restarts, r.pending_reason, r.account, r.nodes) for r in live.values()} == {
        ("10", Phase.QUEUED, 2, "BeginTime", "budget-a", ""),
        ("12", Phase.RUNNING, 0, "", "budget-a", "c1"),
        ("19", Phase.QUEUED, 0, "JobHeldUser", "tiny", ""),
        ("26", Phase.RUNNING, 0, "", "budget-a", "c1"),
        (
            *("11", Phase.QUEUED, 0),
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
            *("budget-a", ""),
        ),
    }
    assert records["12"].started_at == datetime(2026, 11, 21, 10, 1, 57, tzinfo=UTC)
    assert records["10"].started_at is None, "what a pending job shows is a forecast"


@pytest.mark.parametrize("reason", ["held by | admin", "a \x1f b", "x" * 500])
def test_a_reason_may_hold_anything(reason: str) -> None:
    line = recorded.answer("12|PENDING|0|0|2026-11-21T10:01:57|N/A|N/A|a||") + reason + recorded.answer("|\n")
    assert QUERY.parse(0, line, "")["12"].pending_reason == reason


@pytest.mark.parametrize(
    ("job_id", "exit_code", "signal", "reason"),
    [
        ("23", 0, None, None),
        ("24", 3, None, None),
        ("25", None, 9, None),
        ("27", 137, None, None),
        ("28", None, None, Reason.NODE_FAILURE),
    ],
)
def test_recorded_ends(job_id: str, exit_code: int | None, signal: int | None, reason: Reason | None) -> None:
    record = QUERY.parse(0, recorded.QUEUE, "")[job_id]
    assert record.phase is Phase.ENDED
    assert (record.exit_code, record.signal, record.reason) == (exit_code, signal, reason)
    assert record.ended_at == datetime(2026, 11, 21, 10, 18, 19, tzinfo=UTC)


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL"])
def test_what_may_be_requeued_is_left_to_accounting(state: str) -> None:
    line = recorded.answer(f"12|{state}|0|1|2026-11-21T10:01:57|N/A|N/A|a|c1|None|\n")
    assert QUERY.parse(0, line, "") == {}


@pytest.mark.parametrize("state", ["REQUEUED", "COMPLETING", "STAGE_OUT", "EXPEDITING"])
def test_no_end(state: str) -> None:
    line = recorded.answer(f"12|{state}|0|1|2026-11-21T10:01:57|N/A|N/A|a|c1|None|\n")
    assert QUERY.parse(0, line, "")["12"].phase is not Phase.ENDED


def test_only_unknown_ids_is_an_empty_answer() -> None:
    code, stderr = recorded.UNKNOWN_ONLY
    assert QUERY.parse(code, "", stderr) == {}


@pytest.mark.parametrize(
    ("code", "stderr"),
    [
        (1, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"),
        (1, "squeue: error: rate limit exceeded, please try again later\n"),
        (127, "env: 'squeue': No such file or directory\n"),
    ],
)
def test_no_answer_is_not_an_empty_answer(code: int, stderr: str) -> None:
    with pytest.raises(SiteUnavailable) as caught:
        QUERY.parse(code, "", stderr)
    assert caught.value.text == stderr.strip()
