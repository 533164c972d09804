"""`mantik budget`, and what `mantik runs submit` says of a guard."""

import json

from gateway.schemas.budgets import WorstCaseView
from tests.gateway.cli.conftest import Mantik, mantik
from tests.gateway.client.conftest import server, wire
from tests.gateway.client.wire import Wire

__all__ = ["mantik", "server", "wire"]


def test_show(mantik: Mantik, wire: Wire) -> None:
    wire.budget.update(
        {
            "budgetGuard": "refuse",
            "perRun": {"coreHours": 500.0, "gpuHours": None},
            "perMonth": {"coreHours": 10000.0, "gpuHours": 64.5},
            "spent": {"coreHours": 700.25, "gpuHours": 0.0},
            "reserved": {"coreHours": 1024.0, "gpuHours": 66.0},
            "left": {"coreHours": 8275.75, "gpuHours": -1.5},
            "unknownRuns": 2,
            "estimatedRuns": 3,
            "changedAt": "2026-01-01T10:00:00Z",
            "changedBy": {"userId": "00000000-0000-0000-0000-000000000001", "name": "ada"},
        }
    )
    done = mantik("budget", "show")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Guard:     refuse\n"
        "Month:     2026-01 (UTC)\n"
        "Estimated: 3 ended runs count their worst case\n"
        "Unknown:   2 runs count nothing: their cost is not known\n"
        "As of:     2026-01-02 03:04:05 UTC\n"
        "Changed:   2026-01-01 10:00:00 UTC by ada\n"
        "\n"
        "UNIT        PER RUN  PER MONTH  SPENT   RESERVED  LEFT\n"
        "core-hours  500      10000      700.25  1024      8275.75\n"
        "GPU-hours   -        64.5       0       66        -1.5\n"
    )
    assert json.loads(mantik("budget", "show", "-o", "json").out)["left"] == {"coreHours": 8275.75, "gpuHours": -1.5}


def test_set_keeps_what_is_not_named(mantik: Mantik, wire: Wire) -> None:
    words = ("--guard", "warn", "--run-core-hours", "500", "--month-gpu-hours", "64", "--zone", "Europe/Berlin")
    assert mantik("budget", "set", *words).code == 0
    assert wire.bodies[-1] == {
        "budgetGuard": "warn",
        "timeZone": "Europe/Berlin",
        "perRun": {"coreHours": 500.0},
        "perMonth": {"gpuHours": 64.0},
    }
    assert mantik("budget", "set", "--month-gpu-hours", "none", "--month-core-hours", "0").code == 0
    assert wire.bodies[-1] == {
        "budgetGuard": "warn",
        "timeZone": "Europe/Berlin",
        "perRun": {"coreHours": 500.0},
        "perMonth": {"coreHours": 0.0},
    }


def test_set_needs_something_to_change(mantik: Mantik, wire: Wire) -> None:
    done = mantik("budget", "set")
    assert done.code == 2
    assert "Nothing to change. Give --guard, a cap such as --month-core-hours, or --zone." in done.err
    assert mantik("budget", "set", "--run-core-hours", "-1").code == 2
    assert wire.bodies == []


def test_the_worst_case_of_a_preview_says_what_is_missing() -> None:
    from gateway.cli.runs.preview import _worst_case
    from gateway.schemas.runs import Preview

    def shown(worst: WorstCaseView | None) -> str | None:
        return _worst_case(Preview.model_construct(worst_case=worst))

    assert shown(WorstCaseView(core_hours=1024.0, gpu_hours=0.0)) == "1024 core-hours, 0 GPU-hours"
    unknown = WorstCaseView(core_hours=None, gpu_hours=0.0, missing=["Resources.Runtime"])
    assert shown(unknown) == "unknown core-hours, 0 GPU-hours (not given: Resources.Runtime)"
    assert shown(None) is None
