import json
import stat
import threading
from pathlib import Path

import pytest

from gateway.client import Client
from gateway.client.tokens import StoredLogin, TokenFile
from gateway.errors import InvalidInput, Unauthenticated
from tests.gateway.client.conftest import QUICK
from tests.gateway.client.wire import Wire


def test_logs_in_once_and_keeps_the_tokens_for_the_owner_alone(wire: Wire, client: Client, tmp_path: Path) -> None:
    assert client.me().name == "ada"
    list(client.projects.list())
    (file,) = tmp_path.glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {
        "username": "ada",
        "access_token": "access-1",
        "refresh_token": "refresh",
    }
    with Client(wire.url, username="ada", password="not asked", token_directory=tmp_path) as second:
        assert second.me().name == "ada"
    assert wire.count("POST", "/tokens/create") == 1


def test_a_file_that_others_can_read_is_closed_again(tmp_path: Path) -> None:
    file = TokenFile("http://host/api/v1", directory=tmp_path)
    file.save(StoredLogin("ada", "a", "r"))
    file.path.chmod(0o644)
    assert file.load() == StoredLogin("ada", "a", "r")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"username": 1', '{"other": 2}'])
def test_a_damaged_file_is_no_login(tmp_path: Path, text: str) -> None:
    file = TokenFile("http://host/api/v1", directory=tmp_path)
    file.path.write_text(text)
    assert file.load() is None


def test_an_ended_token_is_renewed_and_the_call_repeated(wire: Wire, client: Client) -> None:
    client.me()
    wire.tokens.clear()
    assert [p.name for p in client.projects.list()] == ["demo"]
    assert wire.count("POST", "/tokens/refresh") == 1
    assert wire.count("POST", "/tokens/create") == 1


def test_an_ended_refresh_token_means_the_password_again(wire: Wire, client: Client) -> None:
    client.me()
    wire.tokens.clear()
    wire.refresh_works = False
    assert [p.name for p in client.projects.list()] == ["demo"]
    assert wire.count("POST", "/tokens/create") == 2


def test_without_password_an_ended_login_says_how_to_go_on(wire: Wire, tmp_path: Path) -> None:
    with Client(wire.url, token_directory=tmp_path) as client:
        client.login("ada", wire.password)
    wire.tokens.clear()
    wire.refresh_works = False
    with Client(wire.url, token_directory=tmp_path) as client, pytest.raises(Unauthenticated) as caught:
        client.me()
    assert caught.value.detail == (
        "Your login has ended. Log in with mantik login, or set MANTIK_USERNAME and MANTIK_PASSWORD."
    )


def test_two_clients_renew_once(wire: Wire, tmp_path: Path) -> None:
    clients = [Client(wire.url, username="ada", password=wire.password, token_directory=tmp_path) for _ in range(4)]
    for client in clients:
        list(client.projects.list())
    wire.tokens.clear()
    threads = [threading.Thread(target=lambda c=client: list(c.projects.list())) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wire.count("POST", "/tokens/refresh") == 1
    for client in clients:
        client.close()


def test_a_login_of_another_user_is_not_taken(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(wire.url, token_directory=tmp_path) as client:
        client.login("ada", wire.password)
    monkeypatch.setenv("MANTIK_USERNAME", "bob")
    with Client(wire.url, token_directory=tmp_path) as client, pytest.raises(InvalidInput) as caught:
        client.me()
    assert caught.value.detail == "MANTIK_PASSWORD is not set. Set it, or run mantik login."


def test_a_wrong_password_is_told_without_the_password(wire: Wire, tmp_path: Path) -> None:
    with (
        Client(wire.url, username="ada", password="hunter2hunter2", token_directory=tmp_path, retries=QUICK) as client,
        pytest.raises(Unauthenticated) as caught,
    ):
        client.me()
    assert "does not accept this password of ada" in caught.value.detail
    assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__) + repr(client.__dict__)
    assert wire.count("POST", "/tokens/create") == 1


def test_logout_forgets(wire: Wire, tmp_path: Path) -> None:
    with Client(wire.url, token_directory=tmp_path) as client:
        client.login("ada", wire.password)
        assert client.logout()
        assert not client.logout()
        with pytest.raises(Unauthenticated, match="You are not logged in"):
            client.me()


def test_a_given_token_is_used_as_it_is(wire: Wire, tmp_path: Path) -> None:
    wire.tokens = {"api-token"}
    with Client(wire.url, token="api-token", token_directory=tmp_path) as client:
        assert client.me().name == "ada"
    assert wire.made_tokens == 0


def test_a_directory_that_cannot_be_written_is_no_error(wire: Wire, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with Client(wire.url, username="ada", password=wire.password, token_directory=blocked / "x") as client:
        assert client.me().name == "ada"
