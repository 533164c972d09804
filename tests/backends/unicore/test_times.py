"""Times as a UNICORE server writes them."""

from datetime import UTC, datetime

import pytest

from backends.unicore.jobs import when


def test_a_time_with_a_zone() -> None:
    assert when("2026-01-31T12:00:05+0100") == datetime(2026, 1, 31, 11, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, "N/A", "", "2026-01-31", "2026-01-31T12:00:05", "0001-01-01T00:00:00+0100", 1769857205]
)
def test_anything_else_is_no_time(value: object) -> None:
    assert when(value) is None
