"""The order of evidence, as a table."""

from datetime import UTC, datetime
from typing import Any

import pytest

from backends.host.evidence import ExitFile, Files, parse_evidence, parse_exit
from backends.host.outcome import decide
from backends.host.scheduler import Record
from backends.reasons import Reason
from backends.spec import EvidenceSource, Phase, Result

AT = datetime(2026, 1, 1, tzinfo=UTC)
EXIT, CODE = EvidenceSource.EXIT_FILE, EvidenceSource.SITE_EXIT_CODE
DETAILS, STATE = EvidenceSource.SCHEDULER_DETAILS, EvidenceSource.FINAL_STATE
FINISHED, FAILED, CANCELLED = Result.FINISHED, Result.FAILED, Result.CANCELLED


def written(
    code: int, signal: int | None = None, job: str = "7", restarts: int = 0, why: Reason | None = None
) -> Files:
    return Files(fences=("7",), exit=ExitFile(job, restarts, code, signal, AT, AT, why))


def ended(state: str, **values: Any) -> Record:
    return Record("7", Phase.ENDED, state, **values)


CASES = {
    "exit file alone": (written(0), None, (FINISHED, EXIT, None, 0, None)),
    "exit file before accounting": (
        written(3),
        ended("COMPLETED", exit_code=0),
        (FAILED, EXIT, Reason.EXIT_CODE, 3, None),
    ),
    "finished before it was cancelled": (
        written(0),
        ended("CANCELLED", reason=Reason.CANCELLED_ON_SITE),
        (FINISHED, EXIT, None, 0, None),
    ),
    "a code of its own stays its own": (
        written(3),
        ended("TIMEOUT", reason=Reason.TIME_LIMIT),
        (FAILED, EXIT, Reason.EXIT_CODE, 3, None),
    ),
    "signal, and the limit was the cause": (
        written(143, 15),
        ended("TIMEOUT", reason=Reason.TIME_LIMIT),
        (FAILED, EXIT, Reason.TIME_LIMIT, 143, 15),
    ),
    "137, and memory was the cause": (
        written(137),
        ended("OUT_OF_MEMORY", reason=Reason.OUT_OF_MEMORY),
        (FAILED, EXIT, Reason.OUT_OF_MEMORY, 137, 9),
    ),
    "signal by scancel": (
        written(143, 15),
        ended("CANCELLED by 0", reason=Reason.CANCELLED_ON_SITE),
        (CANCELLED, EXIT, Reason.CANCELLED_ON_SITE, 143, 15),
    ),
    "signal without details": (written(143, 15), None, (FAILED, EXIT, Reason.EXIT_CODE, 143, 15)),
    "the image was not there": (
        written(1, why=Reason.IMAGE_FAILED),
        None,
        (FAILED, EXIT, Reason.IMAGE_FAILED, 1, None),
    ),
    "exit file of the start before": (
        written(0, restarts=0),
        ended("NODE_FAIL", restarts=1, reason=Reason.NODE_FAILURE),
        (FAILED, STATE, Reason.NODE_FAILURE, None, None),
    ),
    "exit file of another job": (
        written(0, job="8"),
        ended("FAILED", exit_code=2),
        (FAILED, CODE, Reason.EXIT_CODE, 2, None),
    ),
    "completed with its code": (Files(), ended("COMPLETED", exit_code=0), (FINISHED, CODE, None, 0, None)),
    "completed and nothing else is no success": (Files(), ended("COMPLETED"), (FAILED, STATE, Reason.LOST, None, None)),
    "killed": (Files(), ended("FAILED", signal=9), (FAILED, DETAILS, Reason.EXIT_CODE, None, 9)),
    "killed, and the scheduler writes code 0 beside it": (
        Files(),
        ended("FAILED", exit_code=0, signal=9),
        (FAILED, DETAILS, Reason.EXIT_CODE, None, 9),
    ),
    "no room to say how it ended": (
        Files(fences=("7",), disk_full=True),
        ended("FAILED", exit_code=1),
        (FAILED, CODE, Reason.DISK_FULL, 1, None),
    ),
    "out of memory": (
        Files(),
        ended("OUT_OF_MEMORY", signal=125, reason=Reason.OUT_OF_MEMORY),
        (FAILED, DETAILS, Reason.OUT_OF_MEMORY, None, 125),
    ),
    "cancelled in the queue": (
        Files(),
        ended("CANCELLED by 0", reason=Reason.CANCELLED_ON_SITE),
        (CANCELLED, STATE, Reason.CANCELLED_ON_SITE, None, None),
    ),
    "preempted": (Files(), ended("PREEMPTED", reason=Reason.PREEMPTED), (FAILED, STATE, Reason.PREEMPTED, None, None)),
    "supervisor's code": (Files(fences=("7",), site_exit=137), None, (FAILED, CODE, Reason.EXIT_CODE, 137, 9)),
    "supervisor's time limit": (
        Files(fences=("7",), site_exit=143, time_limit=True),
        None,
        (FAILED, CODE, Reason.TIME_LIMIT, 143, 15),
    ),
    "a revoked copy": (
        Files(fences=("revoked",)),
        ended("FAILED", exit_code=113),
        (FAILED, CODE, Reason.LOST, 113, None),
    ),
    "a duplicate": (Files(fences=("6",)), ended("FAILED", exit_code=114), (FAILED, CODE, Reason.LOST, 114, None)),
    "a copy without a fence": (Files(), ended("FAILED", exit_code=115), (FAILED, CODE, Reason.LOST, 115, None)),
    "a program with a copy's code": (
        Files(fences=("7",)),
        ended("FAILED", exit_code=114),
        (FAILED, CODE, Reason.EXIT_CODE, 114, None),
    ),
}


@pytest.mark.parametrize(("files", "record", "expected"), CASES.values(), ids=CASES)
def test_the_strongest_evidence_decides(files: Files, record: Record | None, expected: tuple[object, ...]) -> None:
    outcome = decide("7", record, files)
    assert outcome is not None
    assert (outcome.result, outcome.evidence, outcome.reason, outcome.exit_code, outcome.signal) == expected


@pytest.mark.parametrize("record", [None, Record("7", Phase.RUNNING, "RUNNING")])
def test_without_evidence_there_is_no_end(record: Record | None) -> None:
    assert decide("7", record, Files()) is None


def test_an_exit_file_of_a_job_that_the_site_still_has_is_no_end() -> None:
    assert decide("7", Record("7", Phase.QUEUED, "PENDING"), written(0)) is None


LINE = "job=7 restarts=1 code=137 signal=- started=0 ended=5 reason=- end"


def test_an_exit_file_is_whole_or_nothing() -> None:
    exit_file = parse_exit(f"{LINE}   \n")
    assert exit_file is not None
    assert (exit_file.job_id, exit_file.restarts, exit_file.code, exit_file.signal) == ("7", 1, 137, None)
    for cut in range(len(LINE)):
        assert parse_exit(LINE[:cut]) is None


def test_an_answer_for_many_attempts() -> None:
    text = f"fence r/1 7\nexit r/1 {LINE}\ngone r/2\nlog r/1/mantik.log 10 5.6\nfence r/3 revoked\nend\n"
    found = parse_evidence(text)
    assert found is not None
    assert (found["r/1"].fence, found["r/1"].log_size, found["r/1"].log_identity) == ("7", 10, "5.6")
    assert (found["r/2"].gone, found["r/3"].fence) == (True, "revoked")
    assert parse_evidence(text.removesuffix("end\n")) is None
