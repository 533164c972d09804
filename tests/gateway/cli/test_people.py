"""Users and members from the command line."""

import json

import pytest

from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import BOB, PROJECT, STAMP, USER, Wire, identifier, user_details

NEW = identifier(40)
PASSWORD = "long enough for all"


def test_a_user_is_made_and_the_password_is_nowhere(mantik: Mantik, wire: Wire) -> None:
    done = mantik("users", "create", "eve", "--password-stdin", given=f"{PASSWORD}\n")
    assert (done.code, done.out) == (0, f"{NEW}\n")
    assert done.err == (
        "They log in with: mantik login --username eve\n"
        "To give them a project: mantik projects members add eve --role researcher\n"
    )
    assert wire.bodies[-1] == {"name": "eve", "password": PASSWORD, "isAdmin": False}
    shown = mantik("users", "create", "eva", "--admin", "--password-stdin", "-o", "json", given=f"{PASSWORD}\n")
    assert json.loads(shown.out)["isAdmin"] is True
    assert PASSWORD not in done.out + done.err + shown.out + shown.err


def test_the_password_is_asked_for_twice_on_a_terminal(mantik: Mantik, wire: Wire) -> None:
    done = mantik(
        "users", "create", "eve", given=f"{PASSWORD}\nanother one, longer\n{PASSWORD}\n{PASSWORD}\n", terminal=True
    )
    assert (done.code, wire.bodies[-1]["password"]) == (0, PASSWORD)
    assert "do not match" in done.err
    assert PASSWORD not in done.out + done.err


@pytest.mark.parametrize(
    ("words", "given", "told"),
    [
        (["eve"], None, "Error: Give --password-stdin to read the password here.\n"),
        (["eve", "--password-stdin"], "short\n", "  password: String should have at least 12 characters"),
        (["e v e", "--password-stdin"], f"{PASSWORD}\n", "  name: String should match pattern"),
    ],
)
def test_what_is_refused_before_anything_is_sent(
    mantik: Mantik, wire: Wire, words: list[str], given: str | None, told: str
) -> None:
    done = mantik("users", "create", *words, given=given)
    assert (done.code, wire.bodies) == (2, [])
    assert told in done.err


def test_the_users(mantik: Mantik, wire: Wire) -> None:
    wire.things["/users"].append(user_details(identifier(9), "gone", disabledAt=STAMP))
    assert mantik("users", "list").out == (
        "NAME  ADMIN  STATE     CREATED  ID\n"
        f"ada   yes    active    3m ago   {USER}\n"
        f"bob          active    3m ago   {BOB}\n"
        f"gone         disabled  3m ago   {identifier(9)}\n"
    )
    assert mantik("users", "show", "bob").out == (
        f"Name:    bob\nId:      {BOB}\nState:   active\nCreated: 2026-01-02 03:04:05 UTC\n"
    )
    assert mantik("users", "show", BOB).out == mantik("users", "show", "bob").out
    missing = mantik("users", "show", "bo")
    assert (missing.code, missing.err) == (
        5,
        "Error: There is no user named bo.\nNext: Give the whole name with which the user logs in.\n",
    )


def test_a_user_is_disabled_and_enabled(mantik: Mantik, wire: Wire) -> None:
    assert mantik("users", "disable", "bob", given="n\n", terminal=True).code == 1
    assert wire.things["/users"][1]["disabledAt"] is None
    done = mantik("users", "disable", "bob", "--yes")
    assert (done.code, done.err) == (0, "Disabled user bob. To undo it: mantik users enable bob\n")
    assert "Disabled: 2026-01-02 03:04:05 UTC\n" in mantik("users", "show", "bob").out
    assert mantik("users", "enable", BOB).err == "Enabled user bob; they log in anew.\n"
    assert wire.things["/users"][1]["disabledAt"] is None


def test_members(mantik: Mantik, wire: Wire) -> None:
    members = ("projects", "members")
    assert mantik(*members, "list").out == f"NAME  ROLE   ID\nada   owner  {USER}\n"
    done = mantik(*members, "add", "bob", "--role", "guest")
    assert (done.code, done.out, done.err) == (0, f"{BOB}\n", "bob is guest now.\n")
    again = mantik(*members, "add", "bob", "--role", "owner")
    assert (again.code, again.err) == (
        6,
        "Error: bob is a member already, as guest.\nNext: To change it: mantik projects members set-role bob owner\n",
    )
    assert mantik(*members, "set-role", "bob", "reporter").err == "bob is reporter now; it was guest.\n"
    assert [m["role"] for m in wire.things[f"/projects/{PROJECT}/members"]] == ["owner", "reporter"]
    assert json.loads(mantik(*members, "list", "-o", "json").out)[1]["user"]["name"] == "bob"
    assert mantik(*members, "remove", "bob", given="n\n", terminal=True).code == 1
    assert mantik(*members, "remove", "bob").err == "Removed bob from the project.\n"
    assert len(wire.things[f"/projects/{PROJECT}/members"]) == 1
    stranger = mantik(*members, "set-role", "bob", "guest")
    assert (stranger.code, stranger.err) == (
        5,
        "Error: bob is not a member of the project.\nNext: To add them: mantik projects members add bob --role guest\n",
    )
    assert mantik(*members, "remove", "bob").code == 5
    assert "There is no user named nobody" in mantik(*members, "add", "nobody").err


def test_members_of_a_project_that_is_named(mantik: Mantik, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANTIK_PROJECT_ID")
    assert "No project is given" in mantik("projects", "members", "list").err
    done = mantik("projects", "members", "set-role", "bob", "guest", "--project-id", "demo")
    assert done.err.endswith("mantik projects members add bob --role guest --project-id demo\n")


def test_a_paused_site_and_the_rest_of_it_stays(mantik: Mantik, wire: Wire) -> None:
    done = mantik("sites", "pause", "cluster")
    assert (done.code, done.err) == (0, "Site cluster is paused. To go on: mantik sites resume cluster\n")
    sent = wire.bodies[-1]
    assert (sent["paused"], sent["name"], sent["host"], sent["port"]) == (True, "cluster", "login.example", 22)
    done = mantik("sites", "resume", "cluster")
    assert (done.code, wire.bodies[-1]["paused"]) == (0, False)
    assert done.err == "Site cluster is used again; waiting runs go on by themselves.\n"
