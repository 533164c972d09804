"""Caps, and the sentence for what does not fit."""

import pytest

from gateway.budgets.cost import UNREAD, Figure, WorstCase, stored
from gateway.budgets.guard import Sums, Verdict, judge, shown
from gateway.errors import Conflict, InvalidInput


def sums(unit: str, per_run: float | None, per_month: float | None, spent: float = 0, reserved: float = 0) -> Sums:
    return Sums(unit, per_run, per_month, spent, reserved)


OPEN = sums("GPU-hours", None, None)


def of(core: Sums, worst: WorstCase, gpu: Sums = OPEN) -> Verdict | None:
    return judge((core, gpu), worst, "2026-11")


@pytest.mark.parametrize("hours", [0.0, 99.5, 100.0])
def test_a_run_fits_up_to_its_cap(hours: float) -> None:
    assert of(sums("core-hours", 100, None), stored(hours, 0.0)) is None
    assert of(sums("core-hours", None, 1000, 700, 200), stored(hours, 0.0)) is None


def test_a_run_above_the_cap_for_one_run() -> None:
    found = of(sums("core-hours", 100, 1000), stored(100.01, 0.0))
    assert found is not None
    assert found.text == "it may cost 100.01 core-hours, and the cap for one run is 100"
    assert not found.passes
    error = found.error()
    assert isinstance(error, Conflict)
    assert error.detail.endswith("have a maintainer raise the cap: mantik budget set")


def test_a_run_above_what_is_left_of_the_month_names_all_numbers() -> None:
    found = of(sums("core-hours", None, 1000, 700, 250), stored(50.5, 0.0))
    assert found is not None
    assert found.text == (
        "it may cost 50.5 core-hours, and of the 1000 for 2026-11 50 are left (700 spent, 250 reserved by live runs)"
    )
    assert found.passes
    assert isinstance(found.error(), Conflict)


def test_what_costs_nothing_of_a_unit_passes_a_month_that_is_overrun() -> None:
    assert of(OPEN, stored(5.0, 0.0), sums("GPU-hours", None, 10, 20)) is None
    assert of(OPEN, stored(5.0, 1.0), sums("GPU-hours", None, 10, 20)) is not None


def test_an_unknown_cost_names_the_fields_to_set() -> None:
    worst = WorstCase(Figure(None, ("Resources.Runtime", "nodeSize")), Figure(0.0))
    found = of(sums("core-hours", None, 1000), worst)
    assert found is not None
    error = found.error()
    assert isinstance(error, InvalidInput)
    assert [problem.field for problem in error.problems] == ["backendConfig.Resources.Runtime", ""]
    assert "mantik connections check" in error.detail
    assert "it is not known how many core-hours the run may cost" in error.detail


def test_what_has_no_cap_may_be_unknown() -> None:
    assert of(OPEN, UNREAD, sums("GPU-hours", None, None)) is None
    gpu = sums("GPU-hours", 10, None)
    assert of(OPEN, WorstCase(Figure(None), Figure(5.0)), gpu) is None
    assert of(OPEN, WorstCase(Figure(None), Figure(None)), gpu) is not None


def test_an_unknown_cost_of_a_stored_run_has_a_next_step() -> None:
    found = of(sums("core-hours", 1, None), stored(None, 0.0))
    assert found is not None
    assert found.error().detail.endswith("gives Resources.Nodes, CPUsPerNode and Runtime.")


@pytest.mark.parametrize(
    ("hours", "text"), [(0.0, "0"), (0.001, "less than 0.01"), (12.5, "12.5"), (1e7, "10000000"), (0.333333, "0.33")]
)
def test_hours_are_shown_plainly(hours: float, text: str) -> None:
    assert shown(hours) == text
