from datetime import UTC, datetime

import pytest

from backends.slurm.answers import moment, number, said, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5:00", 300),
        ("30", 1800),
        ("1:00:00", 3600),
        ("1-00:00:00", 86400),
        ("2-12", 216000),
        ("2-12:30", 217800),
        ("infinite", None),
        ("UNLIMITED", None),
        ("", None),
    ],
)
def test_seconds(text: str, value: int | None) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["Unknown", "N/A", "None", ""])
def test_no_moment(text: str) -> None:
    assert moment(text) is None


def test_moment_is_utc() -> None:
    assert moment("2026-11-21T10:01:57") == datetime(2026, 11, 21, 10, 1, 57, tzinfo=UTC)


@pytest.mark.parametrize(("text", "value"), [("32+", 32), ("n/a", None), ("infinite", None), ("4", 4)])
def test_number(text: str, value: int | None) -> None:
    assert number(text) == value


def test_said_prefers_the_last_error() -> None:
    assert said("sbatch: lua: hello\nsbatch: error: first\nsbatch: error: second\nsbatch: bye\n") == "second"
    assert said("") == ""
