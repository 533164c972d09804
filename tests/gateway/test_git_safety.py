"""What git must not do: follow a login elsewhere, use the operator's keys, take a changed host, fill the memory."""

import asyncio
import os
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import git as git_module
from gateway.git import GitError, GitLogin, GitStore, Source
from gateway.git_hosts import GitHosts
from gateway.git_login import SshHosts, login_environment, ssh_command
from gateway.git_process import run_git


def repository(path: Path, content: bytes = b"0" * 10) -> Path:
    path.mkdir()
    (path / "file").write_bytes(content)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for args in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(path), *args], check=True)
    return path


@asynccontextmanager
async def host(*lines: str) -> AsyncIterator[tuple[str, list[str]]]:
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(("\r\n".join([*lines, "Content-Length: 0", "Connection: close"]) + "\r\n\r\n").encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


async def test_a_token_does_not_follow_a_redirect(tmp_path: Path) -> None:
    store = GitStore(tmp_path / "store", local_paths_allowed=True, hosts=GitHosts(("127.0.0.1",)))
    async with host("HTTP/1.1 401 No", 'WWW-Authenticate: Basic realm="x"') as (evil, stolen):
        there = evil.replace("127.0.0.1", "localhost") + "/a.git/info/refs?service=git-upload-pack"
        async with host("HTTP/1.1 302 Found", f"Location: {there}") as (good, _):
            source = Source(f"{good}/a.git", "x", GitLogin("alice", "s3cret"))
            with pytest.raises(GitError, match="sends the gateway to another address") as caught:
                await store.resolve(source, branch=None, commit=None)
    assert stolen == []
    assert not caught.value.temporary


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Username for 'https://git.example.org:8443': ", "alice"),
        ("Password for 'https://alice@git.example.org:8443': ", "s3cret"),
        ("Username for 'https://evil.example': ", ""),
        ("Password for 'https://alice@evil.example': ", ""),
        ("Password for 'http://alice@git.example.org:8443': ", ""),
        ("Password for 'https://alice@git.example.org:8443.evil.example': ", ""),
        ("Enter passphrase: ", ""),
    ],
)
async def test_a_login_is_said_to_its_own_origin_only(tmp_path: Path, prompt: str, answer: str) -> None:
    login = GitLogin("alice", "s3cret")
    async with login_environment(login, "https://git.example.org:8443/p", SshHosts(tmp_path / "h")) as environment:
        process = await asyncio.create_subprocess_exec(
            environment["GIT_ASKPASS"], prompt, env=environment, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
    assert out.decode() == answer


def meant_by(command: str) -> dict[str, list[str]]:
    """What ssh itself understands."""
    done = subprocess.run(["sh", "-c", f"{command} -G git.example.org"], check=True, capture_output=True, text=True)
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    return found


def test_ssh_without_a_login_uses_nothing_of_the_operator(tmp_path: Path) -> None:
    hosts = tmp_path / "a b%h" / "known_hosts"
    found = meant_by(ssh_command(None, SshHosts(hosts)))
    assert found["identityfile"] == ["none"]
    assert found["identityagent"] == ["none"]
    assert found["identitiesonly"] == ["yes"]
    assert found["globalknownhostsfile"] == ["/dev/null"]
    assert len(found["userknownhostsfile"]) == 1
    assert found["userknownhostsfile"][0].strip('"').replace("%%", "%") == str(hosts)
    assert found["stricthostkeychecking"] == ["accept-new"]


def test_the_operators_file_of_hosts_is_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    found = meant_by(ssh_command(tmp_path / "key", SshHosts(tmp_path / "hosts", only_known=True)))
    assert found["identityfile"] == [str(tmp_path / "key")]
    assert found["userknownhostsfile"] == [str(tmp_path / "hosts")]
    assert found["stricthostkeychecking"] in (["true"], ["yes"])


def test_the_stores_file_of_hosts_is_its_own(tmp_path: Path) -> None:
    GitStore(tmp_path / "store")
    assert stat.S_IMODE((tmp_path / "store" / "known_hosts").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("REMOTE HOST IDENTIFICATION HAS CHANGED! Host key verification failed.", "shows another SSH host key"),
        ("No ED25519 host key is known for h. Host key verification failed.", "not in git_known_hosts"),
    ],
)
async def test_an_unknown_or_changed_host_is_refused_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\necho '{said}' >&2; exit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    store = GitStore(tmp_path / "store", hosts=GitHosts(("h.example",)))
    with pytest.raises(GitError, match=words) as caught:
        await store.resolve(Source("ssh://git@h.example/p", "x"), branch=None, commit=None)
    assert not caught.value.temporary


async def test_a_repository_above_the_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    there = repository(tmp_path / "big", os.urandom(3 * 2**20))
    store = GitStore(tmp_path / "store", local_paths_allowed=True, max_repository_bytes=2**20)
    with pytest.raises(GitError, match="is larger than the gateway takes") as caught:
        await store.resolve(Source(str(there), "x"), branch="main", commit=None)
    assert not caught.value.temporary
    assert sum(f.stat().st_size for f in (tmp_path / "store").rglob("*") if f.is_file()) < 2**18


async def test_large_code_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    there = repository(tmp_path / "big", b"0" * 3 * 2**20)
    store = GitStore(tmp_path / "store", local_paths_allowed=True, max_code_bytes=2**20)
    source = Source(str(there), "x")
    commit = await store.resolve(source, branch="main", commit=None)
    with pytest.raises(GitError, match="more than 1048576 bytes"):
        await store.bundle(source, commit)
    assert list((tmp_path / "store" / "bundles").iterdir()) == []
    with pytest.raises(GitError, match="file has 3145728 bytes"):
        await store.read(source, commit, "file")


async def test_a_command_that_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    alias = f"alias.wait=!sh -c 'echo $$ >{mark}; exec sleep 60'"
    code, _, err = await run_git(["-c", alias, "wait"], 1.0)
    assert (code, err) == (124, b"time limit of 1 s")
    status = Path("/proc", mark.read_text().strip(), "status")
    async with asyncio.timeout(30):  # a busy machine takes its time over a kill
        while status.exists() and "State:\tZ" not in status.read_text():  # noqa: ASYNC110  another process: no event
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", ["itself", "symlink", "gitfile", "alternates"])
async def test_what_the_gateway_keeps_is_no_repository(tmp_path: Path, how: str) -> None:
    kept = repository(tmp_path / "data")
    way = tmp_path / "way"
    if how == "symlink":
        way.symlink_to(kept)
    elif how == "gitfile":
        way.mkdir()
        (way / ".git").write_text(f"gitdir: {kept / '.git'}\n")
    elif how == "alternates":
        await run_git(["clone", "-q", "--shared", str(kept), str(way)], 30)
    uri = str(kept if how == "itself" else way)
    store = GitStore(tmp_path / "store", local_paths_allowed=True, private=kept)
    with pytest.raises(GitError, match="lies in the gateway's own directory"):
        await store.resolve(Source(uri, "x"), branch="main", commit=None)


def test_limits_are_what_is_documented() -> None:
    assert (git_module.LARGEST_FILE, git_module.LARGEST_CODE) == (2**20, 2**31)
