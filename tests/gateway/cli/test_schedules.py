"""`mantik schedules`: what is sent, and what is printed where."""

import json

from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import CONNECTION, PROJECT, RUN, SCHEDULE, Wire, firing_view, identifier, schedule_view

NEW = identifier(40)
NEXT = "It fires next at 2026-01-03T02:30+01:00.\n"


def test_create_sends_what_was_given_and_nothing_else(mantik: Mantik, wire: Wire) -> None:
    done = mantik("schedules", "create", "weekly", "--run", "train", "--cron", "0 9 * * 1", "--zone", "Asia/Tokyo")
    assert done.out == f"{NEW}\n"
    assert done.err == f"At 02:30 (Asia/Tokyo).\n{NEXT}"
    assert wire.bodies[-1] == {
        "name": "weekly",
        "runId": RUN,
        "cronExpression": "0 9 * * 1",
        "timeZone": "Asia/Tokyo",
        "overlapPolicy": "skip",
        "misfirePolicy": "skip",
        "misfireMost": 10,
        "graceSeconds": 600,
        "maxFailures": 3,
        "enabled": True,
        "followBranch": False,
    }


def test_create_with_every_option(mantik: Mantik, wire: Wire) -> None:
    words = (
        *("--run", RUN, "--cron", "@daily", "--start", "2026-02-01", "--end", "2026-12-31", "--connection", "mine"),
        *("--compute-budget-account", "proj2", "--overlap", "queue", "--misfire", "run-all", "--misfire-most", "5"),
        *("--grace", "120", "--max-failures", "0", "--follow-branch", "--consent", "Whoever ...", "--paused"),
    )
    wire.things[f"/projects/{PROJECT}/schedules"] = [schedule_view(nextAt=None, nextLocal=None)]
    done = mantik("schedules", "create", "all", *words)
    assert done.err.endswith(f"It is paused. To start it: mantik schedules resume {NEW}\n")
    sent = wire.bodies[-1]
    assert (sent["connectionId"], sent["computeBudgetAccount"], sent["enabled"]) == (CONNECTION, "proj2", False)
    assert (sent["startDate"], sent["endDate"]) == ("2026-02-01", "2026-12-31")
    assert (sent["overlapPolicy"], sent["misfirePolicy"], sent["misfireMost"]) == ("queue", "run-all", 5)
    assert (sent["graceSeconds"], sent["maxFailures"]) == (120, 0)
    assert (sent["followBranch"], sent["followBranchConsent"]) == (True, "Whoever ...")


def test_list(mantik: Mantik, wire: Wire) -> None:
    assert mantik("schedules", "list").out == (
        "NAME     STATE   CRON        ZONE           NEXT                    RUN    AS   ID\n"
        f"nightly  ACTIVE  30 2 * * *  Europe/Berlin  2026-01-03T02:30+01:00  train  ada  {SCHEDULE}\n"
    )
    wire.things[f"/projects/{PROJECT}/schedules"] = []
    done = mantik("schedules", "list")
    assert (done.out, done.err) == ("", "There is no schedule yet. To make one: mantik schedules create --help\n")


def test_describe(mantik: Mantik) -> None:
    assert mantik("schedules", "describe", "nightly").out == (
        "Name:       nightly\n"
        f"Id:         {SCHEDULE}\n"
        "State:      ACTIVE\n"
        "Cron:       30 2 * * *\n"
        "In words:   At 02:30\n"
        "Time zone:  Europe/Berlin\n"
        "Next:       2026-01-03T02:30+01:00\n"
        f"Repeats:    train ({RUN})\n"
        "Code:       the run's commit\n"
        "Runs as:    ada\n"
        f"Connection: {CONNECTION}\n"
        "Site:       cluster\n"
        "Account:    proj1\n"
        "Overlap:    skip\n"
        "Misfire:    run-all, at most 10\n"
        "Grace time: 600 s\n"
        "Failures:   1 in a row, pauses at 3\n"
        "Created by: ada\n"
        "Created:    2026-01-02 03:04:05 UTC\n"
        "Changed:    2026-01-02 03:04:05 UTC\n"
        "\n"
        "Last firings:\n"
        "  DUE                     DECIDED                  KIND  STATE    RUN STATE  WHY                       "
        "RUN ID\n"
        "  2026-01-02T02:30+01:00  2026-01-02 03:04:05 UTC  cron  SKIPPED             OVERLAP: A run was live.\n"
    )


def test_edit_keeps_what_is_not_given(mantik: Mantik, wire: Wire) -> None:
    wire.things[f"/projects/{PROJECT}/schedules"] = [schedule_view(endDate="2026-12-31", overlapPolicy="queue")]
    done = mantik("schedules", "edit", "nightly", "--cron", "0 3 * * *", "--no-end")
    assert (done.out, done.err) == (f"{SCHEDULE}\n", NEXT)
    sent = wire.bodies[-1]
    assert (sent["cronExpression"], sent["overlapPolicy"], sent["runId"]) == ("0 3 * * *", "queue", RUN)
    assert "endDate" not in sent
    assert sent["enabled"]


def test_an_edit_does_not_wake_a_paused_schedule(mantik: Mantik, wire: Wire) -> None:
    wire.things[f"/projects/{PROJECT}/schedules"] = [schedule_view(state="PAUSED", reason="BY_USER", enabled=False)]
    mantik("schedules", "edit", "nightly", "--grace", "60")
    assert wire.bodies[-1]["enabled"] is False


def test_preview_of_an_expression(mantik: Mantik, wire: Wire) -> None:
    done = mantik("schedules", "preview", "--cron", "30 2 * * *", "--zone", "Europe/Berlin", "-n", "2")
    assert done.out == (
        "LOCAL                   UTC               NOTE\n"
        "2026-03-28T02:30+01:00  2026-03-28 01:30\n"
        "2026-03-29T03:00+02:00  2026-03-29 01:00  02:30 does not exist.\n"
    )
    assert done.err == (
        "30 2 * * * (Europe/Berlin): At 02:30\n"
        "2026-03-29: clocks go forward from 02:00 to 03:00 (2026-03-29 01:00 UTC).\n"
    )
    assert wire.bodies[-1] == {"cronExpression": "30 2 * * *", "timeZone": "Europe/Berlin", "count": "2"}


def test_preview_of_a_schedule(mantik: Mantik, wire: Wire) -> None:
    assert mantik("schedules", "preview", "nightly").code == 0
    assert wire.bodies[-1] == {"count": "10"}
    done = mantik("schedules", "preview")
    assert done.code == 2
    assert "Error: Give either SCHEDULE or --cron.\n" in done.err
    assert mantik("schedules", "preview", "nightly", "--zone", "UTC").code == 2


def test_pause_resume_fire_and_delete(mantik: Mantik, wire: Wire) -> None:
    done = mantik("schedules", "pause", "nightly")
    resume = f"mantik schedules resume {SCHEDULE}"
    assert (done.out, done.err) == ("PAUSED\n", f"Times that pass are not made up for. To go on: {resume}\n")
    assert mantik("schedules", "resume", "nightly").err == NEXT
    done = mantik("schedules", "fire", "nightly", "--connection", "mine")
    assert (done.out, done.err) == (f"{RUN}\n", f"To follow it: mantik runs logs {RUN}\n")
    assert wire.bodies[-1] == {"connectionId": CONNECTION}
    assert len(wire.keys) == 1
    done = mantik("schedules", "delete", "nightly", "--yes")
    assert done.err == "Deleted schedule nightly.\n"
    assert mantik("schedules", "describe", "nightly").code == 5


def test_a_firing_that_is_sent_twice_has_one_key(mantik: Mantik, wire: Wire) -> None:
    wire.faults.append(("POST", "/fire-now", "lost"))
    assert mantik("schedules", "fire", "nightly").code == 0
    assert wire.count("POST", "/fire-now") == 2
    assert len(wire.keys) == 1


def test_history(mantik: Mantik, wire: Wire) -> None:
    wire.things[f"/projects/{PROJECT}/schedules/{SCHEDULE}/firings"] = [
        firing_view(state="FIRED", reason=None, text="", runId=RUN, runState="FINISHED"),
        firing_view(),
    ]
    done = mantik("schedules", "history", "nightly", "-o", "json")
    assert [(f["state"], f["runState"]) for f in json.loads(done.out)] == [("FIRED", "FINISHED"), ("SKIPPED", None)]
    done = mantik("schedules", "history", "nightly", "-n", "1")
    assert done.err == "There are more: --limit 2\n"
    assert len(done.out.splitlines()) == 2
    wire.things[f"/projects/{PROJECT}/schedules/{SCHEDULE}/firings"] = []
    assert mantik("schedules", "history", "nightly").err == "It has not fired yet. See: mantik schedules preview\n"
