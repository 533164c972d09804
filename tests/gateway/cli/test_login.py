import json
from pathlib import Path

import pytest

from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import Wire


@pytest.fixture
def alone(mantik: Mantik, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANTIK_USERNAME")
    monkeypatch.delenv("MANTIK_PASSWORD")


@pytest.mark.usefixtures("alone")
def test_login_and_logout(mantik: Mantik, wire: Wire, tmp_path: Path) -> None:
    done = mantik("projects", "list")
    assert (done.code, done.err) == (
        3,
        "Error: You are not logged in.\nNext: Log in with mantik login, or set MANTIK_USERNAME and MANTIK_PASSWORD.\n",
    )
    done = mantik("login", "-u", "ada", "--password-stdin", given="correct horse\n")
    assert (done.code, done.out, done.err) == (0, "", f"Logged in at {wire.url} as ada.\n")
    (file,) = (tmp_path / "state" / "mantik" / "logins").glob("*.json")
    assert "correct horse" not in file.read_text()
    assert mantik("projects", "list").code == 0
    assert mantik("logout").err == f"Logged out from {wire.url}.\n"
    assert mantik("logout").err == "You were not logged in.\n"
    assert mantik("projects", "list").code == 3


@pytest.mark.usefixtures("alone")
def test_login_asks_on_a_terminal(mantik: Mantik) -> None:
    done = mantik("login", given="ada\ncorrect horse\n", terminal=True)
    assert done.code == 0
    assert "correct horse" not in done.out + done.err


@pytest.mark.usefixtures("alone")
def test_a_wrong_password(mantik: Mantik) -> None:
    done = mantik("login", "-u", "ada", "--password-stdin", "-v", given="wrong horse\n")
    assert done.code == 3
    assert "does not accept this password of ada" in done.err
    assert "wrong horse" not in done.err


@pytest.mark.usefixtures("alone")
def test_what_login_needs(mantik: Mantik) -> None:
    assert "Give --username" in mantik("login").err
    assert "Give --password-stdin" in mantik("login", "-u", "ada").err
    assert "The password is empty" in mantik("login", "-u", "ada", "--password-stdin", given="\n").err


def test_tokens(mantik: Mantik, wire: Wire) -> None:
    assert mantik("tokens", "list").err == "You have no API token. To make one: mantik tokens create NAME\n"
    done = mantik("tokens", "create", "ci")
    assert (done.out, done.err) == (
        "mantik_secret\n",
        "It is not shown again. Use it as MANTIK_PASSWORD, or as MLFLOW_TRACKING_TOKEN.\n",
    )
    assert mantik("tokens", "list").out == (
        "NAME  LAST USED  EXPIRES  ID\nci    never      never    00000000-0000-0000-0000-000000000032\n"
    )
    assert "mantik_secret" not in mantik("tokens", "list", "-o", "json").out
    assert json.loads(mantik("tokens", "create", "two", "-o", "json").out)["token"] == "mantik_secret"
    wire.things["/users/me/tokens"].pop()
    assert mantik("tokens", "revoke", "ci").err == "Revoked token ci.\n"
    assert wire.things["/users/me/tokens"] == []
