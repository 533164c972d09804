"""The shell over a real OpenSSH server."""

import asyncio
import shutil
import socket
from collections.abc import Callable

import asyncssh
import pytest

from backends.errors import AuthenticationFailed, HostKeyRejected, SiteUnavailable
from backends.slurm.ssh import shell as shell_module
from backends.slurm.ssh.connection import scan_host_keys
from backends.slurm.ssh.installation import DIRECTORY, Installation
from backends.slurm.ssh.shell import SshShell
from backends.slurm.ssh.trust import public_line
from backends.spec import Credential, Site
from tests.backends.slurm.ssh.credentials import key_credential, new_key
from tests.backends.slurm.ssh.entry import ENTRY
from tests.backends.slurm.ssh.sshd import Sshd

pytestmark = pytest.mark.slurm
ShellOn = Callable[[Site, Credential], SshShell]
StartSshd = Callable[..., Sshd]


async def test_one_connection_for_all_commands(sshd: Sshd, shell_on: ShellOn) -> None:
    shell = shell_on(sshd.site(), sshd.credential())
    answers = await asyncio.gather(*(shell.run("say", str(n)) for n in range(30)))
    assert [answer.stdout for answer in answers] == [b"%d\n" % n for n in range(30)]
    assert sshd.logins() == 1


async def test_bytes_and_codes_come_back_as_they_were(sshd: Sshd, shell_on: ShellOn) -> None:
    shell = shell_on(sshd.site(), sshd.credential())
    data = bytes(range(256)) * 4096
    assert (await shell.run("cat", stdin=data)).stdout == data
    assert (await shell.run("code", "3")).code == 3
    assert (await shell.run("code", "127")).code == 127
    assert (await shell.run("signal")).code not in (0, 127)
    assert (await shell.run("say", "a b", "$(id)", "")).stdout == b"a%20b\n%24%28id%29\n%\n"


async def test_installs_the_script_when_it_is_missing(sshd: Sshd, shell_on: ShellOn) -> None:
    path = sshd.home / Installation(ENTRY).path
    path.unlink(missing_ok=True)
    shell = shell_on(sshd.site(), sshd.credential())
    assert (await shell.run("say", "x")).stdout == b"x\n"
    assert path.read_bytes() == ENTRY
    assert path.stat().st_mode & 0o777 == 0o700
    path.unlink()
    assert (await shell.run("say", "y")).stdout == b"y\n", "purged while the connection is kept"


@pytest.mark.parametrize("code", ["1", "126", "127"])
async def test_failing_verb_runs_once(sshd: Sshd, shell_on: ShellOn, code: str) -> None:
    """These codes may mean that the script is missing; it is not, so nothing is run again."""
    await shell_on(sshd.site(), sshd.credential()).run("say", "installed")
    shell = shell_on(sshd.site(), sshd.credential())
    counter = sshd.home / f"count-{sshd.port}"
    try:
        assert (await shell.run("count", str(counter), code)).code == int(code)
        assert counter.read_text() == "once\n"
    finally:
        counter.unlink()


async def test_home_that_cannot_be_written(sshd: Sshd, shell_on: ShellOn) -> None:
    directory = sshd.home / DIRECTORY
    shutil.rmtree(directory, ignore_errors=True)
    directory.write_text("a file in the way")
    try:
        with pytest.raises(SiteUnavailable, match=f"home directory on 127.0.0.1:{sshd.port} cannot be written"):
            await shell_on(sshd.site(), sshd.credential()).run("say")
    finally:
        directory.unlink()


async def test_forced_command(sshd: Sshd, start_sshd: StartSshd, shell_on: ShellOn) -> None:
    await shell_on(sshd.site(), sshd.credential()).run("say", "installed")
    forced = start_sshd(key_options=f'restrict,command="{Installation(ENTRY).path}"')
    shell = shell_on(forced.site(), forced.credential())
    assert (await shell.run("say", "x")).stdout == b"x\n"
    assert (await shell.run("code", "127")).code == 127, "the probe for the script is answered by the script"


async def test_wrong_key_is_exactly_one_failed_login(sshd: Sshd, shell_on: ShellOn) -> None:
    shell = shell_on(sshd.site(), key_credential(new_key(), sshd.user))
    results = await asyncio.gather(*(shell.run("say") for _ in range(500)), return_exceptions=True)
    assert {type(result) for result in results} == {AuthenticationFailed}
    assert f"127.0.0.1:{sshd.port} refused the login of {sshd.user}" in str(results[0])
    assert sshd.failed_logins() == 1


async def test_key_taken_away_under_an_open_connection(sshd: Sshd, shell_on: ShellOn) -> None:
    shell = shell_on(sshd.site(), sshd.credential())
    await shell.run("say")
    (sshd.directory / "authorized_keys").write_text("")
    sshd.stop()
    sshd.start()
    seen: set[type] = set()
    async with asyncio.timeout(10):
        while AuthenticationFailed not in seen:  # the loss of the connection may be noticed first
            results = await asyncio.gather(*(shell.run("say") for _ in range(50)), return_exceptions=True)
            seen = {type(result) for result in results}
    assert seen == {AuthenticationFailed}
    assert sshd.failed_logins() == 1


async def test_changed_host_key(sshd: Sshd, shell_on: ShellOn) -> None:
    site, old = sshd.site(), sshd.host_key.convert_to_public()
    sshd.stop()
    sshd.set_host_key(new_key())
    sshd.start()
    shell = shell_on(site, sshd.credential())
    with pytest.raises(HostKeyRejected) as caught:
        await shell.run("say")
    assert old.get_fingerprint() in caught.value.message
    assert sshd.host_key.get_fingerprint() in caught.value.message
    assert "authenticating user" not in sshd.log.read_text(), "the server never learned a name"
    with pytest.raises(HostKeyRejected):
        await shell.run("say")


async def test_host_key_of_another_type(sshd: Sshd, shell_on: ShellOn) -> None:
    listed = asyncssh.generate_private_key("ecdsa-sha2-nistp256").convert_to_public()
    shell = shell_on(sshd.site(host_keys=(public_line(listed),)), sshd.credential())
    with pytest.raises(HostKeyRejected) as caught:
        await shell.run("say")
    assert listed.get_fingerprint() in caught.value.message
    assert sshd.host_key.get_fingerprint() in caught.value.message


async def test_one_of_several_host_keys(sshd: Sshd, shell_on: ShellOn) -> None:
    mine = public_line(sshd.host_key.convert_to_public())
    other = public_line(new_key().convert_to_public())
    shell = shell_on(sshd.site(host_keys=(other, mine)), sshd.credential())
    assert (await shell.run("say")).code == 0


async def test_host_ca(start_sshd: StartSshd, sshd: Sshd, shell_on: ShellOn) -> None:
    ca = new_key()
    certificate = ca.generate_host_certificate(sshd.host_key, "host", principals=["127.0.0.1"])
    (sshd.directory / "host_key-cert.pub").write_bytes(certificate.export_certificate())
    sshd.stop()
    sshd._settings.append(f"HostCertificate {sshd.directory / 'host_key-cert.pub'}")
    sshd.start()
    trusted = sshd.site(host_keys=(f"@cert-authority {public_line(ca.convert_to_public())}",))
    assert (await shell_on(trusted, sshd.credential()).run("say")).code == 0
    stranger = sshd.site(host_keys=(f"@cert-authority {public_line(new_key().convert_to_public())}",))
    with pytest.raises(HostKeyRejected):
        await shell_on(stranger, sshd.credential()).run("say")


async def test_scan_learns_what_the_server_shows(sshd: Sshd) -> None:
    assert await scan_host_keys("127.0.0.1", sshd.port) == (public_line(sshd.host_key.convert_to_public()),)
    assert sshd.logins() == 0
    sshd.stop()
    with pytest.raises(SiteUnavailable, match="refuses connections"):
        await scan_host_keys("127.0.0.1", sshd.port)


async def test_refused_port_and_unknown_name(sshd: Sshd, shell_on: ShellOn) -> None:
    sshd.stop()
    with pytest.raises(SiteUnavailable, match=f"127.0.0.1:{sshd.port} refuses connections.*Check host and port"):
        await shell_on(sshd.site(), sshd.credential()).run("say")
    with pytest.raises(SiteUnavailable, match=r"name no-such\.invalid cannot be resolved. Check the host"):
        await shell_on(sshd.site(host="no-such.invalid"), sshd.credential()).run("say")


async def test_host_that_never_answers(sshd: Sshd, shell_on: ShellOn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site = sshd.site(port=silent.getsockname()[1], options={"connectTimeLimit": 0.3})
        with pytest.raises(SiteUnavailable, match=r"did not answer within 0.3 s"):
            await shell_on(site, sshd.credential()).run("say")


async def test_unreachable_host_is_not_hammered(sshd: Sshd, shell_on: ShellOn) -> None:
    attempts = 0
    arrived = asyncio.Event()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        arrived.set()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        shell = shell_on(sshd.site(host_keys=(), port=server.sockets[0].getsockname()[1]), sshd.credential())
        results = await asyncio.gather(*(shell.run("say") for _ in range(100)), return_exceptions=True)
        assert {type(result) for result in results} == {SiteUnavailable}
        await asyncio.wait_for(arrived.wait(), 5)
    assert attempts == 1


async def test_reconnects_after_a_loss(sshd: Sshd, shell_on: ShellOn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_module, "BACK_OFF_FIRST", 0.05)
    shell = shell_on(sshd.site(), sshd.credential())
    await shell.run("say")
    sshd.stop()
    with pytest.raises(SiteUnavailable):
        await shell.run("say")
    sshd.start()
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await shell.run("say", "back")).stdout == b"back\n"
                break
            except SiteUnavailable:
                await asyncio.sleep(0.02)
    assert sshd.logins() == 2


async def test_closed_while_a_command_runs(sshd: Sshd, shell_on: ShellOn) -> None:
    shell = shell_on(sshd.site(), sshd.credential())
    await shell.run("say")
    before = sshd.log.read_text().count("Starting session")
    running = asyncio.create_task(shell.run("wait-for", str(sshd.directory / "never")))
    async with asyncio.timeout(10):
        while sshd.log.read_text().count("Starting session") == before:  # noqa: ASYNC110 - a file, no event
            await asyncio.sleep(0.02)
    sshd.stop()
    with pytest.raises(SiteUnavailable, match=f"127.0.0.1:{sshd.port} closed the connection"):
        await running


async def test_time_limit_of_a_command(sshd: Sshd, shell_on: ShellOn) -> None:
    shell = shell_on(sshd.site(), sshd.credential())
    await shell.run("say")
    with pytest.raises(SiteUnavailable, match=r"did not end within 0.2 s"):
        await shell.run("wait-for", str(sshd.directory / "go"), time_limit=0.2)
    (sshd.directory / "go").touch()
    assert (await shell.run("say", "still here")).stdout == b"still%20here\n"


async def test_cancelled_commands_leave_no_channel(start_sshd: StartSshd, shell_on: ShellOn) -> None:
    sshd = start_sshd("MaxSessions 2")
    shell = shell_on(sshd.site(), sshd.credential())
    await shell.run("say")
    waiting = [asyncio.create_task(shell.run("wait-for", str(sshd.directory / "go"))) for _ in range(6)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    (sshd.directory / "go").touch()
    answers = await asyncio.gather(*(shell.run("say", str(n)) for n in range(10)))
    assert [answer.code for answer in answers] == [0] * 10


async def test_one_session_at_a_time(start_sshd: StartSshd, shell_on: ShellOn) -> None:
    sshd = start_sshd("MaxSessions 1")
    shell = shell_on(sshd.site(), sshd.credential())
    answers = await asyncio.gather(*(shell.run("say", str(n)) for n in range(20)))
    assert [answer.stdout for answer in answers] == [b"%d\n" % n for n in range(20)]
    assert sshd.logins() == 1


async def test_no_more_than_six_channels(sshd: Sshd, shell_on: ShellOn) -> None:
    shell = shell_on(sshd.site(), sshd.credential())
    await shell.run("say")
    before = sshd.log.read_text().count("Starting session")
    waiting = [asyncio.create_task(shell.run("wait-for", str(sshd.directory / "go"))) for _ in range(12)]
    async with asyncio.timeout(10):
        while sshd.log.read_text().count("Starting session") < before + 6:  # noqa: ASYNC110 - a file, no event
            await asyncio.sleep(0.02)
    assert shell._channels.in_use == 6
    assert sshd.log.read_text().count("Starting session") == before + 6
    (sshd.directory / "go").touch()
    assert [done.code for done in await asyncio.gather(*waiting)] == [0] * 12
    assert "no more sessions" not in sshd.log.read_text()


async def test_jump_host(sshd: Sshd, start_sshd: StartSshd, shell_on: ShellOn) -> None:
    jump = start_sshd()
    (jump.directory / "authorized_keys").write_text(public_line(sshd.key.convert_to_public()))
    jump_key = f"127.0.0.1 {public_line(jump.host_key.convert_to_public())}"
    keys = (*sshd.site().host_keys, jump_key)
    site = sshd.site(jump=f"{sshd.user}@127.0.0.1:{jump.port}", host_keys=keys)
    shell = shell_on(site, sshd.credential())
    assert (await shell.run("say", "over")).stdout == b"over\n"
    assert (jump.logins(), sshd.logins()) == (1, 1)


async def test_jump_host_with_an_unlisted_key_learns_nothing(
    sshd: Sshd, start_sshd: StartSshd, shell_on: ShellOn
) -> None:
    jump = start_sshd()
    site = sshd.site(jump=f"127.0.0.1:{jump.port}")
    with pytest.raises(HostKeyRejected, match=f"127.0.0.1:{jump.port} is not confirmed"):
        await shell_on(site, sshd.credential()).run("say")
    assert "authenticating user" not in jump.log.read_text()
    assert sshd.logins() == 0


async def test_agent_is_not_forwarded(sshd: Sshd, shell_on: ShellOn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(sshd.directory / "agent"))
    await shell_on(sshd.site(), sshd.credential()).run("say")
    assert "auth-agent-req" not in sshd.log.read_text()


@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"])
async def test_a_server_chooses_its_cipher(start_sshd: StartSshd, shell_on: ShellOn, cipher: str) -> None:
    sshd = start_sshd(f"Ciphers {cipher}")
    assert (await shell_on(sshd.site(), sshd.credential()).run("say", "x")).stdout == b"x\n"


async def test_a_cheap_cipher_comes_first(sshd: Sshd, shell_on: ShellOn) -> None:
    shell = shell_on(sshd.site(), sshd.credential())
    await shell.run("say")
    assert shell._connection is not None
    assert shell._connection.top.get_extra_info("send_cipher") == "aes128-gcm@openssh.com"
