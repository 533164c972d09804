"""The door to git, over real repositories: what is resolved, read and packed, what is refused, and who sees what."""

import asyncio
import base64
import contextlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.git import GitError, GitLogin, GitStore, Source
from gateway.git_hosts import GitHosts

LOOPBACK = GitHosts(("127.0.0.1",))
WORD = "s3cret-token-of-alice"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----"


class Repository:
    """A repository on this machine, as its owner works in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *args: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", "-C", str(self.path), *who, *args], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "more")
        return self.git("rev-parse", "HEAD")

    def source(self, cache_key: str = "anonymous") -> Source:
        return Source(str(self.path), cache_key)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def store(tmp_path: Path) -> GitStore:
    return GitStore(tmp_path / "store", local_paths_allowed=True, hosts=LOOPBACK)


async def refused(store: GitStore, source: Source, branch: str | None = None, commit: str | None = None) -> GitError:
    with pytest.raises(GitError) as caught:
        await store.resolve(source, branch=branch, commit=commit)
    return caught.value


async def test_default_branch_branch_tag_and_commit(store: GitStore, repository: Repository) -> None:
    first = repository.commit({"a": "1"})
    repository.git("tag", "-a", "v1", "-m", "first")
    repository.git("checkout", "-q", "-b", "feature/x")
    second = repository.commit({"a": "2"})
    repository.git("checkout", "-q", "main")
    source = repository.source()
    assert await store.resolve(source, branch=None, commit=None) == first
    assert await store.resolve(source, branch="main", commit=None) == first
    assert await store.resolve(source, branch="feature/x", commit=None) == second
    assert await store.resolve(source, branch="v1", commit=None) == first, "a tag with a message, too"
    assert await store.resolve(source, branch="main", commit=second) == second
    assert await store.resolve(source, branch=None, commit=second[:10]) == second


async def test_the_default_branch_is_the_repositorys_own(store: GitStore, repository: Repository) -> None:
    repository.commit({"a": "1"})
    repository.git("checkout", "-q", "-b", "trunk")
    there = repository.commit({"a": "2"})
    assert await store.resolve(repository.source(), branch=None, commit=None) == there


async def test_what_is_pushed_counts_at_once_and_what_is_removed_is_gone(
    store: GitStore, repository: Repository
) -> None:
    repository.commit({"a": "1"})
    source = repository.source()
    await store.resolve(source, branch="main", commit=None)
    newer = repository.commit({"a": "2"})
    repository.git("branch", "extra")
    assert await store.resolve(source, branch="main", commit=None) == newer
    assert await store.resolve(source, branch="extra", commit=None) == newer
    forced = repository.git("commit-tree", "HEAD^{tree}", "-m", "another start")
    repository.git("update-ref", "refs/heads/main", forced)
    repository.git("branch", "-D", "extra")
    assert await store.resolve(source, branch="main", commit=None) == forced
    await refused(store, source, branch="extra")


async def test_a_name_given_as_commit_is_never_an_old_one(store: GitStore, repository: Repository) -> None:
    repository.commit({"a": "1"})
    source = repository.source()
    await store.resolve(source, branch=None, commit="main")
    newer = repository.commit({"a": "2"})
    assert await store.resolve(source, branch=None, commit="main") == newer


async def test_a_known_commit_needs_no_host(store: GitStore, repository: Repository) -> None:
    commit = repository.commit({"a": "1"})
    source = repository.source()
    await store.resolve(source, branch="main", commit=None)
    shutil.rmtree(repository.path)
    assert await store.resolve(source, branch=None, commit=commit) == commit
    await refused(store, source, branch="main")


async def test_a_wrong_branch_names_the_nearest_first(store: GitStore, repository: Repository) -> None:
    repository.commit({"a": "1"})
    for n in range(20):
        repository.git("branch", f"aaa-{n:02}")
    repository.git("branch", "training")
    error = await refused(store, repository.source(), branch="trainig")
    assert error.message.startswith("The repository has no branch 'trainig'. It has: training, ")
    assert error.message.endswith(" ....")
    assert not error.temporary


async def test_a_missing_commit_and_an_empty_repository_say_so(store: GitStore, repository: Repository) -> None:
    assert "It is empty" in (await refused(store, repository.source(), branch="main")).message
    assert "no default branch" in (await refused(store, repository.source())).message
    repository.commit({"a": "1"})
    gone = "0" * 39 + "1"
    assert f"has no commit '{gone}'" in (await refused(store, repository.source(), commit=gone)).message


@pytest.mark.parametrize(
    "name", ["--upload-pack=touch pwned", "-h", "main; touch pwned", "$(touch pwned)", "a b", "..", "@{-1}", ""]
)
async def test_a_name_is_never_an_option_or_a_command(
    store: GitStore, repository: Repository, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commit = repository.commit({"a": "1"})
    source = repository.source()
    for wish in ({"branch": name, "commit": None}, {"branch": None, "commit": name}):
        if name:
            await refused(store, source, **wish)
        else:
            assert await store.resolve(source, **wish) == commit
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    "uri",
    [
        "--upload-pack=touch pwned",
        "-oProxyCommand=touch pwned",
        "ext::sh -c touch% pwned",
        "fd::7",
        "ftp://127.0.0.1/x",
    ],
)
async def test_a_uri_is_never_an_option_or_a_command(
    store: GitStore, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = await refused(store, Source(uri, "x"))
    assert not error.temporary
    assert not list(tmp_path.rglob("pwned"))


async def test_paths_of_this_machine_and_plain_http_are_an_operators_wish(
    tmp_path: Path, repository: Repository
) -> None:
    repository.commit({"a": "1"})
    strict = GitStore(tmp_path / "strict")
    for uri in (str(repository.path), f"file://{repository.path}", "http://127.0.0.1:9/x"):
        error = await refused(strict, Source(uri, "x"))
        assert error.message == f"This gateway does not take repositories like {uri}. Use https or ssh."


async def test_a_host_that_does_not_answer_is_a_matter_of_time(store: GitStore) -> None:
    error = await refused(store, Source("http://127.0.0.1:9/a.git", "x"))
    assert (error.temporary, error.message) == (True, "http://127.0.0.1:9/a.git cannot be reached now.")


async def test_what_is_no_repository_is_not(store: GitStore, tmp_path: Path) -> None:
    error = await refused(store, Source(str(tmp_path), "x"))
    assert not error.temporary
    assert "There is no git repository" in error.message


async def test_a_file_is_read_at_its_commit(store: GitStore, repository: Repository) -> None:
    first = repository.commit({"dir/config.yaml": "old"})
    repository.commit({"dir/config.yaml": "new"})
    source = repository.source()
    newest = await store.resolve(source, branch="main", commit=None)
    assert await store.read(source, first, "dir/config.yaml") == b"old"
    assert await store.read(source, newest, "dir/config.yaml") == b"new"
    for path in ("gone", "dir", "../outside", "/etc/passwd"):
        assert await store.read(source, newest, path) is None


def names(path: Path) -> set[str]:
    with tarfile.open(path) as tar:
        return {member.name for member in tar if member.isfile()}


FILES = {
    "train.py": "",
    "data/big.bin": "",
    "deep/data/x.csv": "",
    "logs/a.log": "",
    "deep/b.log": "",
    "keep/log.txt": "",
}


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        ((), set()),
        (("data",), {"data/big.bin", "deep/data/x.csv"}),
        (("data/",), {"data/big.bin", "deep/data/x.csv"}),
        (("/data",), {"data/big.bin"}),
        (("./data",), {"data/big.bin"}),
        (("*.log",), {"logs/a.log", "deep/b.log"}),
        (("deep/*.log", "keep"), {"deep/b.log", "keep/log.txt"}),
        (("deep/**",), {"deep/data/x.csv", "deep/b.log"}),
        (("nothing-here", ":(top)train.py", "--option"), set()),
    ],
)
async def test_excluded_names_stay_at_home(
    store: GitStore, repository: Repository, exclude: tuple[str, ...], gone: set[str]
) -> None:
    repository.commit(FILES)
    source = repository.source()
    commit = await store.resolve(source, branch="main", commit=None)
    bundle = await store.bundle(source, commit, exclude)
    assert names(bundle.path) == set(FILES) - gone
    assert bundle.size == bundle.path.stat().st_size


async def test_the_same_commit_gives_the_same_bytes(tmp_path: Path, repository: Repository) -> None:
    repository.commit(FILES)
    bundles = []
    for name in ("one", "other"):
        store = GitStore(tmp_path / name, local_paths_allowed=True)
        commit = await store.resolve(repository.source(name), branch="main", commit=None)
        bundles.append(await store.bundle(repository.source(name), commit, ("data",)))
    one, other = bundles
    assert (one.sha256, one.size) == (other.sha256, other.size)
    assert one.path.read_bytes() == other.path.read_bytes()


async def test_a_bundle_of_an_unknown_commit_is_refused(store: GitStore, repository: Repository) -> None:
    repository.commit({"a": "1"})
    source = repository.source()
    await store.resolve(source, branch="main", commit=None)
    with pytest.raises(GitError, match="cannot be read"):
        await store.bundle(source, "f" * 40)


async def test_nobody_reads_a_private_repository_through_anothers_cache(
    store: GitStore, repository: Repository
) -> None:
    commit = repository.commit({"secret": "x"})
    mine = repository.source("connection-of-alice")
    assert await store.resolve(mine, branch="main", commit=None) == commit
    await store.bundle(mine, commit)
    repository.path.rename(repository.path.with_name("locked"))
    theirs = replace(mine, cache_key="connection-of-bob")
    await refused(store, theirs, commit=commit)
    assert await store.read(theirs, commit, "secret") is None
    with pytest.raises(GitError):
        await store.bundle(theirs, commit)
    assert await store.read(mine, commit, "secret") == b"x"


async def test_many_at_once_share_what_they_fetch(store: GitStore, repository: Repository) -> None:
    commit = repository.commit({"a": "1"})
    source = repository.source()
    found = await asyncio.gather(*(store.resolve(source, branch="main", commit=None) for _ in range(8)))
    assert set(found) == {commit}
    bundles = await asyncio.gather(*(store.bundle(source, commit) for _ in range(8)))
    assert len({bundle.sha256 for bundle in bundles}) == 1


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every git and ssh that is started writes its arguments there; ssh ends as one that refused the key."""
    folder, written = tmp_path / "bin", tmp_path / "arguments"
    folder.mkdir()
    real = shutil.which("git")
    note = f'printf "%s\\n" "${{0##*/}} $*" >>{written}\n'
    key = f'stat -c %a "${{a#-i}}" >>{written}; cat "${{a#-i}}" >>{written}.key'
    look = f'for a; do case "$a" in -i*) {key} ;; esac; done\n'
    refuse = "echo 'alice@127.0.0.1: Permission denied (publickey).' >&2; exit 255\n"
    for name, body in (("git", f'exec {real} "$@"\n'), ("ssh", look + refuse)):
        (folder / name).write_text(f"#!/bin/sh\n{note}{body}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return written


@pytest.fixture
async def asking() -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP host that wants a login and takes none: its address, and the logins it was given."""
    given: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        given.extend(line.split()[-1] for line in head.splitlines() if line.lower().startswith("authorization:"))
        lines = (
            "HTTP/1.1 401 Unauthorized",
            'WWW-Authenticate: Basic realm="x"',
            "Content-Length: 0",
            "Connection: close",
        )
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/private.git", given


async def test_a_token_goes_to_the_host_and_into_no_command_line(
    store: GitStore, watched: Path, asking: tuple[str, list[str]]
) -> None:
    uri, given = asking
    error = await refused(store, Source(uri, "x", GitLogin("oauth2", password=WORD)))
    assert error.message == f"{uri} refused the login. Give its code repository a connection that may read it."
    assert not error.temporary
    assert {base64.b64decode(one).decode() for one in given} == {f"oauth2:{WORD}"}
    assert "ls-remote" in watched.read_text()
    assert WORD not in watched.read_text()
    assert WORD not in error.message + error.text
    assert WORD not in repr(GitLogin("oauth2", password=WORD, private_key=KEY))


async def test_without_a_login_a_private_repository_is_refused(store: GitStore, asking: tuple[str, list[str]]) -> None:
    uri, given = asking
    error = await refused(store, Source(uri, "x"))
    assert "refused the login" in error.message
    assert given == []


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "500 Oops"])
async def test_what_a_host_answers_decides_whether_a_retry_helps(store: GitStore, status: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.git"
        error = await refused(store, Source(uri, "x"))
    assert error.temporary is status.startswith("5")


async def test_a_key_is_a_file_of_its_owner_and_in_no_command_line(store: GitStore, watched: Path) -> None:
    login = GitLogin("git", private_key=KEY, known_hosts="127.0.0.1 ssh-ed25519 AAAA")
    error = await refused(store, Source("ssh://alice@127.0.0.1:9/a.git", "x", login))
    assert "refused the login" in error.message
    lines = watched.read_text().splitlines()
    assert "600" in lines, "the key's mode"
    assert watched.with_name("arguments.key").read_text().startswith(KEY), "ssh was given the key"
    (call,) = [line for line in lines if line.startswith("ssh ")]
    assert "-oStrictHostKeyChecking=yes" in call
    assert "-oIdentitiesOnly=yes" in call
    assert "c2VjcmV0" not in watched.read_text()
    path = next(word.removeprefix("-i") for word in call.split() if word.startswith("-i/"))
    assert not Path(path).exists(), "removed after use"
