"""All ways to log in, against an SSH server in this process that counts what it is asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from backends.errors import AuthenticationFailed, BackendError, ChallengeRequired, SiteUnavailable
from backends.slurm.ssh.shell import SshShell
from backends.slurm.ssh.trust import public_line
from backends.spec import Credential, Site
from tests.backends.slurm.ssh.credentials import Credentials, key_credential, new_key

HOST_KEY, USER_KEY, USER_CA = new_key(), new_key(), new_key()


@dataclass
class Policy:
    """What the server accepts, and what it was asked."""

    password: str | None = None
    prompt: str | None = None
    """Of keyboard-interactive; None: the server has none."""
    answer: str = ""
    keys: bool = True
    asked: list[str] = field(default_factory=list)


class Server(asyncssh.SSHServer):  # type: ignore[misc]
    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return self.policy.keys

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.policy.asked.append("key")
        return bool(key == USER_KEY.convert_to_public())

    def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.policy.asked.append("certificate")
        return bool(key == USER_CA.convert_to_public())

    def password_auth_supported(self) -> bool:
        return self.policy.password is not None

    def validate_password(self, username: str, password: str) -> bool:
        self.policy.asked.append("password")
        return password == self.policy.password

    def kbdint_auth_supported(self) -> bool:
        return self.policy.prompt is not None

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        self.policy.asked.append("challenge")
        return "", "", "", [(self.policy.prompt, False)]

    def validate_kbdint_response(self, username: str, responses: list[str]) -> bool:
        self.policy.asked.append("answer")
        return responses == [self.policy.answer]


def _answer(process: Any) -> None:
    process.stdout.write("hello\n")
    process.exit(0)


@pytest.fixture
async def login() -> AsyncIterator[Callable[[Policy, Credential], Any]]:
    opened: list[Any] = []

    async def start(policy: Policy, credential: Credential) -> SshShell:
        server = await asyncssh.create_server(
            lambda: Server(policy), "127.0.0.1", 0, server_host_keys=[HOST_KEY], process_factory=_answer
        )
        keys = (public_line(HOST_KEY.convert_to_public()),)
        site = Site("s", "centre", "slurm", host="127.0.0.1", port=server.get_port(), host_keys=keys)
        shell = SshShell(site, Credentials(credential), b"#!/bin/sh\n")
        opened.extend([shell, server])
        return shell

    yield start
    for shell in opened[::2]:
        await shell.aclose()
    for server in opened[1::2]:
        server.close()
        await server.wait_closed()


def password(secret: str = "right") -> Credential:
    return Credential(1, "password", "alice", secret)


async def failure(shell: SshShell) -> BackendError:
    """The first error; a second try must give the same class without asking the server."""
    errors = []
    for _ in range(2):
        with pytest.raises(BackendError) as caught:
            await shell.run("say")
        errors.append(caught.value)
    assert type(errors[0]) is type(errors[1])
    return errors[0]


async def test_key(login: Any) -> None:
    policy = Policy()
    shell = await login(policy, key_credential(USER_KEY))
    assert (await shell.run("say")).stdout == b"hello\n"


async def test_key_with_passphrase(login: Any) -> None:
    secret = USER_KEY.export_private_key("pkcs8-pem", "open sesame").decode()
    shell = await login(Policy(), Credential(1, "ssh-key", "alice", secret, passphrase="open sesame"))
    assert (await shell.run("say")).code == 0


@pytest.mark.parametrize("passphrase", ["wrong", None])
async def test_wrong_passphrase_asks_nobody(login: Any, passphrase: str | None) -> None:
    policy = Policy()
    secret = USER_KEY.export_private_key("pkcs8-pem", "open sesame").decode()
    error = await failure(await login(policy, Credential(1, "ssh-key", "alice", secret, passphrase=passphrase)))
    assert isinstance(error, AuthenticationFailed)
    assert policy.asked == []


async def test_unreadable_key_asks_nobody(login: Any) -> None:
    policy = Policy()
    error = await failure(await login(policy, Credential(1, "ssh-key", "alice", "no key at all")))
    assert isinstance(error, AuthenticationFailed)
    assert "cannot be read" in error.message
    assert "no key at all" not in error.message + error.text
    assert policy.asked == []


async def test_certificate_and_nothing_else(login: Any) -> None:
    key = new_key()
    certificate = USER_CA.generate_user_certificate(key, "alice", principals=["alice"])
    policy = Policy()
    credential = Credential(
        1,
        "ssh-key",
        "alice",
        key.export_private_key().decode(),
        certificate=certificate.export_certificate().decode(),
    )
    assert (await (await login(policy, credential)).run("say")).code == 0
    assert set(policy.asked) == {"certificate"}


async def test_expired_certificate_is_one_refused_login(login: Any) -> None:
    key = new_key()
    certificate = USER_CA.generate_user_certificate(key, "alice", valid_before="20200101")
    policy = Policy()
    credential = Credential(
        1, "ssh-key", "alice", key.export_private_key().decode(), certificate=certificate.export_certificate().decode()
    )
    assert isinstance(await failure(await login(policy, credential)), AuthenticationFailed)
    assert "key" not in policy.asked, "the bare key would be a second login"


async def test_wrong_key_is_offered_once(login: Any) -> None:
    policy = Policy(password="right", prompt="Password:")
    shell = await login(policy, key_credential(new_key()))
    assert isinstance(await failure(shell), AuthenticationFailed)
    assert policy.asked == ["key"]


async def test_password(login: Any) -> None:
    policy = Policy(password="right", prompt="Password:", answer="right")
    assert (await (await login(policy, password())).run("say")).code == 0
    assert policy.asked == ["password"]


async def test_wrong_password_is_sent_once_where_the_site_has_both_password_methods(login: Any) -> None:
    policy = Policy(password="right", prompt="Password:", answer="right")
    assert isinstance(await failure(await login(policy, password("wrong"))), AuthenticationFailed)
    assert policy.asked == ["password"]


async def test_password_by_keyboard_interactive(login: Any) -> None:
    policy = Policy(prompt="Password: ", answer="right")
    assert (await (await login(policy, password())).run("say")).code == 0


async def test_wrong_password_by_keyboard_interactive_is_sent_once(login: Any) -> None:
    policy = Policy(prompt="Password: ", answer="right")
    assert isinstance(await failure(await login(policy, password("wrong"))), AuthenticationFailed)
    assert policy.asked.count("answer") == 1


async def test_one_time_password_is_a_challenge_in_the_sites_words(login: Any) -> None:
    policy = Policy(prompt="6-digit token: ", keys=False)
    error = await failure(await login(policy, password()))
    assert isinstance(error, ChallengeRequired)
    assert error.text == "6-digit token:"
    assert policy.asked == ["challenge"]


async def test_second_factor_for_a_key_is_a_challenge(login: Any) -> None:
    policy = Policy(prompt="6-digit token: ", keys=False)
    assert isinstance(await failure(await login(policy, key_credential(USER_KEY))), ChallengeRequired)
    assert policy.asked == []


@pytest.mark.parametrize("method", ["token", "none"])
async def test_other_methods_are_refused_here(login: Any, method: Any) -> None:
    policy = Policy()
    assert isinstance(await failure(await login(policy, Credential(1, method, "alice", "x"))), AuthenticationFailed)
    assert policy.asked == []


async def test_new_version_is_tried_after_a_refusal(login: Any) -> None:
    policy = Policy()
    shell = await login(policy, key_credential(new_key()))
    assert isinstance(await failure(shell), AuthenticationFailed)
    shell._credentials.current = key_credential(USER_KEY, version=2)
    assert (await shell.run("say")).code == 0


async def test_keys_agent_and_config_of_this_machine_are_not_used(
    login: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(USER_KEY.export_private_key())
    (tmp_path / ".ssh" / "config").write_text("Host *\n  ProxyCommand false\n  User mallory\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    policy = Policy()
    assert isinstance(await failure(await login(policy, key_credential(new_key()))), AuthenticationFailed)
    assert policy.asked == ["key"]


async def test_500_commands_and_a_refused_key_are_one_login(login: Any) -> None:
    policy = Policy()
    shell = await login(policy, key_credential(new_key()))
    results = await asyncio.gather(*(shell.run("say") for _ in range(500)), return_exceptions=True)
    assert {type(result) for result in results} == {AuthenticationFailed}
    assert policy.asked == ["key"]


async def test_no_host_is_a_sentence() -> None:
    shell = SshShell(Site("s", "centre", "slurm"), Credentials(password()), b"")
    with pytest.raises(SiteUnavailable, match="has no host"):
        await shell.run("say")
