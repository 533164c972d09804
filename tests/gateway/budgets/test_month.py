"""A month is one of the zone of the guard."""

from datetime import UTC, datetime

import pytest

from gateway.budgets.month import month_of


@pytest.mark.parametrize(
    ("zone", "now", "name", "begins", "ends"),
    [
        ("UTC", (2026, 11, 30, 23, 59), "2026-11", (2026, 11, 1), (2026, 12, 1)),
        ("UTC", (2026, 12, 1), "2026-12", (2026, 12, 1), (2027, 1, 1)),
        ("Europe/Berlin", (2026, 11, 30, 23, 30), "2026-12", (2026, 11, 30, 23), (2026, 12, 31, 23)),
        ("Europe/Berlin", (2026, 3, 15), "2026-03", (2026, 2, 28, 23), (2026, 3, 31, 22)),
        # No midnight at its beginning: clocks went from 00:00 to 01:00.
        ("America/Asuncion", (2017, 10, 15), "2017-10", (2017, 10, 1, 4), (2017, 11, 1, 3)),
        ("No/Such", (2026, 11, 15), "2026-11", (2026, 11, 1), (2026, 12, 1)),
    ],
)
def test_the_month_of_a_zone(
    zone: str, now: tuple[int, ...], name: str, begins: tuple[int, ...], ends: tuple[int, ...]
) -> None:
    found = month_of(zone, datetime(*now, tzinfo=UTC))  # type: ignore[arg-type, misc]
    shown = [f"{at:%Y-%m-%d %H}" for at in (found.begins, found.ends)]
    wanted = [f"{datetime(*at):%Y-%m-%d %H}" for at in (begins, ends)]  # type: ignore[arg-type]  # noqa: DTZ001
    assert (found.name, shown) == (name, wanted)
