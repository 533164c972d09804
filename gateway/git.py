"""The one door to git: mirrors of code repositories, commits, files and archives of a commit.

A mirror belongs to one (URI, connection), so that nobody reads a private repository through another's cache.
"""

import asyncio
import gzip
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backends.spec import CodeBundle

TIME_LIMIT = 180.0
"""Seconds for one git command that talks to another host."""


ASKPASS = """#!/bin/sh
case "$1" in Username*) printf %s "$MANTIK_GIT_NAME" ;; *) printf %s "$MANTIK_GIT_WORD" ;; esac
"""


class GitError(Exception):
    """Git could not do it; `text` holds its last words, secrets removed."""

    def __init__(self, message: str, *, text: str = "", temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.temporary = temporary
        """True when a retry may help (the host cannot be reached)."""


@dataclass(frozen=True, slots=True)
class GitLogin:
    """Credential for one origin: a token or password over HTTPS, or a private key over SSH."""

    name: str = ""
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    known_hosts: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A repository and how we get in. `cache_key` separates the mirrors of different connections."""

    uri: str
    cache_key: str
    login: GitLogin | None = None


class GitStore:
    """Mirrors and code bundles below one directory of the gateway."""

    def __init__(self, directory: Path, *, local_paths_allowed: bool = False) -> None:
        self._mirrors = directory / "mirrors"
        self._bundles = directory / "bundles"
        for path in (self._mirrors, self._bundles):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._protocols = ("https", "ssh", "file", "http") if local_paths_allowed else ("https", "ssh")
        self._locks: dict[str, asyncio.Lock] = {}
        self._asked: dict[tuple[str, str | None, str | None], asyncio.Future[str]] = {}
        self._described: dict[str, CodeBundle] = {}
        """By key and by hash."""

    async def resolve(self, source: Source, *, branch: str | None, commit: str | None) -> str:
        """The full commit id of a commit, else of a branch (or tag), else of the default branch.

        Raises GitError, temporary when the host does not answer."""
        mirror = self._mirror(source)
        if commit and (known := await self._commit(mirror, commit)):
            return known
        # Many runs of one branch at once share a fetch, which begins after each of them asked.
        key = (mirror.name, branch, commit)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._fetched(source, mirror, branch, commit))
        return await asyncio.shield(self._asked[key])

    async def _fetched(self, source: Source, mirror: Path, branch: str | None, commit: str | None) -> str:
        async with self._locks.setdefault(mirror.name, asyncio.Lock()):
            # Who asks from here on may mean what is pushed during this fetch: the next one is theirs.
            del self._asked[mirror.name, branch, commit]
            await self._fetch(source, mirror)
        wanted = commit or (f"refs/heads/{branch}" if branch else "HEAD")
        found = await self._commit(mirror, wanted)
        if not found and branch and not commit:
            found = await self._commit(mirror, f"refs/tags/{branch}")
        if found:
            return found
        if commit:
            raise GitError(f"The repository has no commit {commit!r}. Push it, or give another commit.")
        if not branch:
            raise GitError("The repository has no default branch. Give a branch.")
        raise GitError(f"The repository has no branch {branch!r}.{await self._branches_hint(mirror)}")

    async def read(self, source: Source, commit: str, path: str) -> bytes | None:
        """The bytes of a file at a commit; None when it is not a file there."""
        mirror = self._mirror(source)
        code, out, _ = await _git(["-C", str(mirror), "cat-file", "blob", f"{commit}:{path}"], 60)
        return out if code == 0 else None

    async def bundle(self, source: Source, commit: str, exclude: Sequence[str] = ()) -> CodeBundle:
        """The tree of a commit minus the excluded patterns, as a gzipped tar; same input, same bytes."""
        mirror = self._mirror(source)
        key = hashlib.sha256("\0".join([mirror.name, commit, *exclude]).encode()).hexdigest()
        async with self._locks.setdefault(key, asyncio.Lock()):
            path = self._bundles / f"{key}.tar.gz"
            if path.exists() and key in self._described:
                return self._described[key]
            if not path.exists():
                specs = [".", *(f":(exclude,glob){p}" for p in _patterns(exclude))] if exclude else []
                args = ["-C", str(mirror), "archive", "--format=tar", commit, *(["--", *specs] if specs else [])]
                code, out, err = await _git(args, TIME_LIMIT)
                if code:
                    raise GitError("The code of the commit cannot be read.", text=_words(err))
                await asyncio.to_thread(_write_gzip, path, out)
            found = await asyncio.to_thread(_describe, path)
            self._described[key] = self._described[found.sha256] = found
            return found

    def kept(self, sha256: str) -> CodeBundle | None:
        """A bundle by the hash of its bytes, if this process described it and it is still there."""
        found = self._described.get(sha256)
        return found if found is not None and found.path.exists() else None

    def _mirror(self, source: Source) -> Path:
        return self._mirrors / hashlib.sha256(f"{source.uri}\0{source.cache_key}".encode()).hexdigest()[:32]

    async def _commit(self, mirror: Path, name: str) -> str | None:
        if not mirror.exists() or name.startswith("-"):
            return None
        args = ["-C", str(mirror), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
        code, out, _ = await _git(args, 30)
        return out.decode().strip() if code == 0 else None

    async def _branches_hint(self, mirror: Path) -> str:
        _, out, _ = await _git(["-C", str(mirror), "for-each-ref", "--format=%(refname:short)", "refs/heads"], 30)
        names = out.decode(errors="replace").split()
        return f" It has: {', '.join(names[:10])}{' ...' if len(names) > 10 else ''}." if names else " It is empty."

    async def _fetch(self, source: Source, mirror: Path) -> None:
        if not (mirror / "HEAD").exists():
            await _git(["init", "--quiet", "--bare", "--initial-branch=main", str(mirror)], 30)
        async with _login_environment(source.login) as environment:
            allow = [f"--config-env=protocol.{p}.allow=MANTIK_ALWAYS" for p in self._protocols]
            base = ["-C", str(mirror), "-c", "protocol.allow=never", *allow]
            remote = ["--end-of-options", source.uri]
            code, out, err = await _git([*base, "ls-remote", "--symref", *remote, "HEAD"], TIME_LIMIT, environment)
            if code == 0:
                head = next((w[1] for w in map(str.split, out.decode().splitlines()) if w[0] == "ref:"), None)
                if head and head.startswith("refs/heads/"):
                    await _git(["-C", str(mirror), "symbolic-ref", "HEAD", head], 30)
                refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
                fetch = [*base, "fetch", "--quiet", "--prune", "--no-write-fetch-head", "--update-head-ok"]
                code, _, err = await _git([*fetch, *remote, *refs], TIME_LIMIT, environment)
        if code:
            raise _explain(source.uri, err)


def _patterns(exclude: Sequence[str]) -> list[str]:
    # A name without a slash means that name anywhere, and everything below it, as in .gitignore.
    found: list[str] = []
    for pattern in exclude:
        core = pattern.strip().removeprefix("./").strip("/")
        anchored = "/" in pattern.strip("/") or pattern.startswith(("/", "./"))
        stem = core if anchored else f"**/{core}"
        found += [stem, f"{stem}/**"]
    return found


def _explain(uri: str, err: bytes) -> GitError:
    text = _words(err)
    low = text.lower()
    signs = ("could not resolve", "connection refused", "timed out", "unable to access", "no route", "time limit")
    if "authentication failed" in low or "permission denied" in low or "could not read username" in low:
        return GitError(f"{uri} refused the login. Give its code repository a connection that may read it.", text=text)
    if "not allowed" in low and "transport" in low:
        return GitError(f"This gateway does not take repositories like {uri}. Use https or ssh.", text=text)
    if any(sign in low for sign in signs) and "404" not in low:
        return GitError(f"{uri} cannot be reached now.", text=text, temporary=True)
    return GitError(f"There is no git repository at {uri}, or it may not be read.", text=text)


def _words(err: bytes) -> str:
    return err.decode(errors="replace").strip()[-2000:]


def _write_gzip(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as out:
        out.write(data)
    part.rename(path)


def _describe(path: Path) -> CodeBundle:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return CodeBundle(sha256=digest, path=path, size=path.stat().st_size)


@asynccontextmanager
async def _login_environment(login: GitLogin | None) -> AsyncIterator[dict[str, str]]:
    """Variables and 0600 files through which git gets a login; nothing of it stands in a command line."""
    with tempfile.TemporaryDirectory(prefix="mantik-git-") as folder:
        environment = {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -F/dev/null"}
        if login and login.password is not None:
            ask = Path(folder, "askpass")
            ask.write_text(ASKPASS)
            ask.chmod(0o700)
            environment |= {"GIT_ASKPASS": str(ask), "MANTIK_GIT_NAME": login.name, "MANTIK_GIT_WORD": login.password}
        if login and login.private_key is not None:
            key, hosts = Path(folder, "key"), Path(folder, "known_hosts")
            for file, text in ((key, login.private_key), (hosts, login.known_hosts)):
                file.touch(mode=0o600)
                file.write_text(text if text.endswith("\n") else f"{text}\n")
            checking = "yes" if login.known_hosts.strip() else "accept-new"
            environment["GIT_SSH_COMMAND"] = (
                f"ssh -F/dev/null -oBatchMode=yes -oIdentitiesOnly=yes -oIdentityAgent=none -i{key}"
                f" -oUserKnownHostsFile={hosts} -oStrictHostKeyChecking={checking}"
            )
        yield environment


async def _git(
    args: Sequence[str], time_limit: float, environment: dict[str, str] | None = None
) -> tuple[int, bytes, bytes]:
    clean = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")}
    clean |= {
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "MANTIK_ALWAYS": "always",
    }
    process = await asyncio.create_subprocess_exec(
        "git",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "safe.directory=*",
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean | (environment or {}),
    )
    try:
        async with asyncio.timeout(time_limit):
            out, err = await process.communicate()
    except TimeoutError:
        return 124, b"", f"time limit of {time_limit:.0f} s".encode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out, err
