"""`mantik notifications`: what is sent, and what is printed where."""

import json

from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.subscription_wire import SUBSCRIPTION, delivery_view, subscription_view
from tests.gateway.client.wire import PROJECT, USER, Wire

URL = "https://hooks.example.org/a"
PLACE = f"/users/{USER}/settings/subscriptions"


def test_add_shows_the_secret_once_and_apart_from_the_result(mantik: Mantik, wire: Wire) -> None:
    done = mantik("notifications", "add", "hook", "--url", URL)
    assert done.out == f"{SUBSCRIPTION}\n"
    assert done.err == (
        f"Secret, shown only now: whsec_c2VjcmV0\nTo try it: mantik notifications test {SUBSCRIPTION}\n"
    )
    assert wire.bodies == [{"name": "hook", "kind": "webhook", "url": URL, "enabled": True}]
    shown = mantik("notifications", "add", "hook", "--url", URL, "-o", "json")
    assert json.loads(shown.out)["secret"] == "whsec_c2VjcmV0"


def test_add_mail_for_a_project(mantik: Mantik, wire: Wire) -> None:
    words = ("--mail", "ada@example.org", "--project", "demo", "--event", "RUN_LOST", "--event", "NEEDS_LOGIN")
    done = mantik("notifications", "add", "team", *words)
    assert done.err == f"To try it: mantik notifications test {SUBSCRIPTION}\n"
    assert wire.bodies[-1] == {
        "name": "team",
        "kind": "mail",
        "address": "ada@example.org",
        "projectId": PROJECT,
        "events": ["RUN_LOST", "NEEDS_LOGIN"],
        "enabled": True,
    }


def test_one_receiver_has_to_be_given(mantik: Mantik, wire: Wire) -> None:
    for words in ((), ("--url", URL, "--mail", "a@b.c")):
        done = mantik("notifications", "add", "hook", *words)
        assert (done.code, "Give either --url or --mail." in done.err) == (2, True)
    assert wire.bodies == []


def test_list(mantik: Mantik, wire: Wire) -> None:
    assert mantik("notifications", "list").out == (
        "NAME  TO                           ABOUT     EVENTS                STATE  ID\n"
        f"hook  https://hooks.example.org/a  your own  RUN_FAILED, RUN_LOST  on     {SUBSCRIPTION}\n"
    )
    wire.things[PLACE] = []
    done = mantik("notifications", "list")
    said = "You are told of nothing yet. To begin: mantik notifications add NAME --url URL\n"
    assert (done.out, done.err) == ("", said)


def test_show_tells_why_it_is_off(mantik: Mantik, wire: Wire) -> None:
    gone = {"projectId": PROJECT, "projectName": "demo", "enabled": False, "stopped": "The receiver answered 410."}
    wire.things[PLACE] = [subscription_view(**gone)]
    assert mantik("notifications", "show", "hook").out == (
        "Name:    hook\n"
        f"Id:      {SUBSCRIPTION}\n"
        "Kind:    webhook\n"
        "To:      https://hooks.example.org/a\n"
        "About:   project demo\n"
        "Events:  RUN_FAILED, RUN_LOST\n"
        "State:   off\n"
        "Problem: The receiver answered 410.\n"
        "Created: 2026-01-02 03:04:05 UTC\n"
    )


def test_edit_keeps_what_is_not_named(mantik: Mantik, wire: Wire) -> None:
    same = {"name": "hook", "kind": "webhook", "url": URL, "events": ["RUN_FAILED", "RUN_LOST"]}
    assert mantik("notifications", "edit", "hook", "--off").out == f"{SUBSCRIPTION}\n"
    assert wire.bodies[-1] == {**same, "enabled": False}
    mantik("notifications", "edit", "hook", "--project", "demo", "--event", "RUN_LOST", "--name", "new")
    assert wire.bodies[-1] == {**same, "name": "new", "events": ["RUN_LOST"], "projectId": PROJECT, "enabled": True}
    wire.things[PLACE] = [subscription_view(projectId=PROJECT, enabled=False)]
    mantik("notifications", "edit", "hook", "--own", "--on")
    assert wire.bodies[-1] == {**same, "enabled": True}
    assert mantik("notifications", "edit", "hook", "--own", "--project", "demo").code == 2


def test_remove_asks_first(mantik: Mantik, wire: Wire) -> None:
    done = mantik("notifications", "remove", "hook", given="n\n", terminal=True)
    assert (done.code, "Remove hook (https://hooks.example.org/a)?" in done.err) == (1, True)
    assert mantik("notifications", "remove", "hook").err == "Removed hook.\n"
    assert wire.things[PLACE] == []


def test_test_ends_by_what_came_back(mantik: Mantik, wire: Wire) -> None:
    wire.tested = {"delivered": True, "status": 200, "problem": None, "answer": "thanks"}
    done = mantik("notifications", "test", "hook")
    assert (done.code, done.out) == (0, "Delivered: yes\nStatus:    200\nAnswer:    thanks\n")
    wire.tested = {"delivered": False, "status": 401, "problem": "The receiver answered 401.", "answer": "\x1b[2Jno"}
    done = mantik("notifications", "test", "hook")
    assert done.code == 8
    assert done.out == "Delivered: no\nStatus:    401\nProblem:   The receiver answered 401.\nAnswer:    [2Jno\n"


def test_deliveries(mantik: Mantik, wire: Wire) -> None:
    assert mantik("notifications", "deliveries", "hook").out == (
        "HAPPENED                 EVENT       STATE    TRIES  TEXT               PROBLEM\n"
        "2026-01-02 03:04:05 UTC  RUN_FAILED  WAITING  1      Run train failed.  The receiver answered 500.\n"
    )
    place = f"{PLACE}/{SUBSCRIPTION}/deliveries"
    wire.things[place] = [delivery_view() for _ in range(3)]
    done = mantik("notifications", "deliveries", "hook", "-n", "2")
    assert (len(done.out.splitlines()), done.err) == (3, "There are more: --limit 4\n")
    wire.things[place] = []
    done = mantik("notifications", "deliveries", "hook")
    assert done.err == "There was nothing to tell yet. To try it: mantik notifications test NAME\n"
