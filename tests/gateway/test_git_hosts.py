"""Which git hosts are reached: no name and no spelling leads into a network that is not public."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.git import GitError, GitStore, Source
from gateway.git_hosts import GitHosts, NoHost, PrivateHost, is_public, look_up
from gateway.git_login import SshHosts, Way, ssh_command
from gateway.repositories.uri import check_git_uri

PUBLIC = ["1.1.1.1", "2606:4700::1", "64:ff9b::1.1.1.1", "::ffff:1.1.1.1", "2002:101:101::1"]
OTHERS = [
    *("127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
    *("64:ff9b:1::1.1.1.1", "::1.1.1.1", "::ffff:0:1.1.1.1", "fec0::1", "5f00::1", "3fff::1"),
    *("::", "::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1"),
]


@pytest.mark.parametrize(("address", "public"), [*((a, True) for a in PUBLIC), *((a, False) for a in OTHERS)])
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def finding(*addresses: str) -> Callable[[str], Awaitable[Sequence[str]]]:
    async def found(host: str) -> Sequence[str]:
        return addresses

    return found


async def test_one_address_of_a_name_that_is_not_public_is_enough(tmp_path: Path) -> None:
    store = GitStore(tmp_path / "store", hosts=GitHosts(look_up=finding("1.1.1.1", "10.0.0.1")))
    with pytest.raises(GitError) as caught:
        await store.resolve(Source("https://inner.example/p", "x"), branch=None, commit=None)
    assert caught.value.message == (
        "uri: the host inner.example is on the gateway's machine or in a network that is not public. "
        "Give a public host, or ask your operator to name this one in MANTIK_ALLOWED_GIT_HOSTS."
    )
    assert not caught.value.temporary


async def test_a_host_by_name_of_this_machine_is_refused_without_a_connection(tmp_path: Path) -> None:
    reached: list[bool] = []

    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(True)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        uri = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/p"
        with pytest.raises(GitError, match="network that is not public"):
            await GitStore(tmp_path / "store").resolve(Source(uri, "x"), branch=None, commit=None)
        named = GitStore(tmp_path / "named", hosts=GitHosts(("127.0.0.1",)))
        with pytest.raises(GitError):  # it speaks no TLS
            await named.resolve(Source(uri, "x"), branch=None, commit=None)
    assert reached, "the operator named it"


async def test_a_name_that_leads_nowhere_is_a_matter_of_time(tmp_path: Path) -> None:
    async def nowhere(host: str) -> Sequence[str]:
        raise OSError("Name or service not known")

    store = GitStore(tmp_path / "store", hosts=GitHosts(look_up=nowhere))
    with pytest.raises(GitError, match="cannot be reached now") as caught:
        await store.resolve(Source("https://gone.example/p", "x"), branch=None, commit=None)
    assert caught.value.temporary


async def test_the_system_is_asked() -> None:
    assert "127.0.0.1" in await look_up("127.0.0.1")
    with pytest.raises(PrivateHost):
        await GitHosts().addresses("localhost")


@pytest.mark.parametrize("host", [f"{'a' * 64}.com", "a..b"])
async def test_what_can_be_no_host_is_refused(host: str) -> None:
    with pytest.raises(NoHost, match="is no name of a host"):
        GitHosts().check(host)
    with pytest.raises(NoHost):
        await look_up(host)


def test_the_refusal_names_the_field_and_is_short() -> None:
    with pytest.raises(InvalidInput, match=r"^uri: a{80}\.\.\. is no name of a host\."):
        check_git_uri(f"https://{'a' * 200}.com/p.git")


async def test_git_goes_to_the_address_that_was_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name means another address a moment later."""
    written = tmp_path / "arguments"
    git = tmp_path / "git"
    git.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{written}; printf "%s\\n" "$GIT_SSH_COMMAND" >>{written}\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    store = GitStore(tmp_path / "store", hosts=GitHosts(look_up=finding("1.1.1.1", "2606:4700::1")))
    for uri in ("https://rebound.example:8443/p", "git@rebound.example:p"):
        with pytest.raises(GitError, match="no default branch"):
            await store.resolve(Source(uri, "x"), branch=None, commit=None)
    said = written.read_text()
    assert said.count("http.curloptResolve=rebound.example:8443:1.1.1.1,[2606:4700::1]\n") == 2  # ls-remote and fetch
    assert "-oHostName=1.1.1.1 -oHostKeyAlias=rebound.example" in said


async def test_curl_takes_it(tmp_path: Path) -> None:
    """Git's own curl connects to the address and not to what the name means."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        words = ["git", "-c", f"http.curloptResolve=name.example:{port}:127.0.0.1"]
        words += ["ls-remote", f"http://name.example:{port}/p"]
        done = await asyncio.to_thread(subprocess.run, words, capture_output=True, check=False)
    assert done.returncode != 0
    assert f"Host: name.example:{port}" in heads[0]


@pytest.mark.parametrize(("port", "filed_as"), [(None, "git.example.org"), (2222, "[git.example.org]:2222")])
def test_the_key_of_a_host_stays_filed_under_its_name(tmp_path: Path, port: int | None, filed_as: str) -> None:
    command = ssh_command(None, SshHosts(tmp_path / "h"), Way("git.example.org", port, ("1.1.1.1",)))
    told = subprocess.run(["sh", "-c", f"{command} -G git.example.org"], check=True, capture_output=True, text=True)
    assert f"hostkeyalias {filed_as}\n" in told.stdout
    assert "hostname 1.1.1.1\n" in told.stdout
