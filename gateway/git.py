"""The one door to git: mirrors of code repositories, commits, files and archives of a commit.

A mirror belongs to one (URI, connection), so that nobody reads a private repository through another's cache.
"""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from urllib.parse import urlsplit

from backends.spec import CodeBundle
from gateway.git_cache import entries, note_use, remove, to_evict
from gateway.git_errors import GitError, explained, not_taken, too_large, words
from gateway.git_hosts import GitHosts, PrivateHost
from gateway.git_login import GitLogin, SshHosts, Way, login_environment, resolved
from gateway.git_process import BLOCK, chunks_of_git, run_git
from gateway.repositories.uri import as_url
from gateway.together import Together

__all__ = ["GitError", "GitLogin", "GitStore", "Source"]

TIME_LIMIT = 180.0
"""Seconds for one git command that talks to another host."""

LARGEST_FILE = 2**20
"""Bytes of a file that is read out of a repository by itself."""
LARGEST_CODE = 2 * 2**30
"""Bytes of a commit's code before it is packed, unless the operator says another number."""
ID = re.compile(r"[0-9a-fA-F]{7,64}")


@dataclass(frozen=True, slots=True)
class Source:
    """A repository and how we get in. `cache_key` separates the mirrors of different connections."""

    uri: str
    cache_key: str
    login: GitLogin | None = None


class GitStore:
    """Mirrors and code bundles below one directory of the gateway."""

    def __init__(
        self,
        directory: Path,
        *,
        local_paths_allowed: bool = False,
        private: Path | None = None,
        known_hosts: Path | None = None,
        max_code_bytes: int = LARGEST_CODE,
        max_repository_bytes: int | None = None,
        hosts: GitHosts | None = None,
    ) -> None:
        """No local path below `private` (or `directory`) is ever read as a repository.

        `known_hosts` of the operator: only hosts in it are taken; without it, each host as it showed itself first."""
        self._mirrors = directory / "mirrors"
        self._bundles = directory / "bundles"
        for path in (self._mirrors, self._bundles):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._protocols = ("https", "ssh", "file", "http") if local_paths_allowed else ("https", "ssh")
        self.local_paths_allowed = local_paths_allowed
        self.private = (private or directory).resolve()
        self._max_code_bytes = max_code_bytes
        self._max_repository_bytes = max_repository_bytes
        self.hosts = hosts or GitHosts()
        own = directory / "known_hosts"
        own.touch(mode=0o600)
        self._ssh_hosts = SshHosts(known_hosts or own, only_known=known_hosts is not None)
        self._locks: dict[str, asyncio.Lock] = {}
        self._asked: dict[tuple[str, str | None, str | None], asyncio.Future[str]] = {}
        self._checked_local = Together(self._check_local)
        self._described: dict[str, CodeBundle] = {}
        """By key and by hash."""

    async def resolve(self, source: Source, *, branch: str | None, commit: str | None) -> str:
        """The full commit id of a commit, else of a branch (or tag), else of the default branch.

        Raises GitError, temporary when the host does not answer."""
        await self._checked_local(source.uri)
        mirror = self._mirror(source)
        # Only an id means the same for ever; a name is looked up there.
        if commit and ID.fullmatch(commit) and (known := await self._commit(mirror, commit)):
            note_use(mirror)
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
        raise GitError(f"The repository has no branch {branch!r}.{await self._branches_hint(mirror, branch)}")

    async def read(self, source: Source, commit: str, path: str) -> bytes | None:
        """The bytes of a file at a commit; None when it is not a file there. Raises GitError when it is too large."""
        mirror = self._mirror(source)
        code, size, _ = await run_git(["-C", str(mirror), "cat-file", "-s", f"{commit}:{path}"], 60)
        if code == 0 and int(size) > LARGEST_FILE:
            raise GitError(f"{path} has {int(size)} bytes; the gateway reads at most {LARGEST_FILE}. Make it smaller.")
        code, out, _ = await run_git(["-C", str(mirror), "cat-file", "blob", f"{commit}:{path}"], 60)
        return out if code == 0 else None

    async def bundle(self, source: Source, commit: str, exclude: Sequence[str] = ()) -> CodeBundle:
        """The tree of a commit minus the excluded patterns, as a gzipped tar; same input, same bytes."""
        mirror = self._mirror(source)
        key = hashlib.sha256("\0".join([mirror.name, commit, *exclude]).encode()).hexdigest()
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key in self._described and (kept := self.kept(self._described[key].sha256)) is not None:
                return kept
            path = next(self._bundles.glob(f"{key}.*.tar.gz"), None)
            if path is None:
                specs = [".", *(f":(exclude,glob){p}" for p in _patterns(exclude))] if exclude else []
                args = ["-C", str(mirror), "archive", "--format=tar", commit, *(["--", *specs] if specs else [])]
                found = await self._pack(args, key)
            else:
                note_use(path)
                found = await asyncio.to_thread(_describe, path)
            self._described[key] = self._described[found.sha256] = found
            return found

    async def _pack(self, args: Sequence[str], key: str) -> CodeBundle:
        """Write what git archives as gzip, piece by piece; pieces of one size make the same bytes again."""
        part, total, err = self._bundles / f"{key}.part", 0, bytearray()
        try:
            with part.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as out:
                async with aclosing(chunks_of_git(args, TIME_LIMIT, err)) as chunks:
                    async for chunk in chunks:
                        total += len(chunk)
                        if total > self._max_code_bytes:
                            raise GitError(
                                f"The code of the commit has more than {self._max_code_bytes} bytes. "
                                "List what a run does not need under Exclude in the backend config."
                            )
                        await asyncio.to_thread(out.write, chunk)
            made = await asyncio.to_thread(_describe, part)
            return replace(made, path=part.rename(self._bundles / f"{key}.{made.sha256}.tar.gz"))
        except ChildProcessError:
            raise GitError("The code of the commit cannot be read.", text=words(bytes(err))) from None
        finally:
            part.unlink(missing_ok=True)

    async def _check_local(self, uris: Sequence[str]) -> Sequence[None]:
        for uri in dict.fromkeys(uris):
            await self._check_one(uri)
        return [None] * len(uris)

    async def _check_one(self, uri: str) -> None:
        """A repository on this machine must not be, lead to or borrow from what the gateway keeps."""
        if not self.local_paths_allowed or not uri.startswith(("/", "file:")):
            return
        path = Path(uri.removeprefix("file://"))
        ask = ["-C", str(path), "rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir"]
        _, out, _ = await run_git([*ask, "--git-path", "objects"], 30)
        places = [path, path / ".git", *map(Path, out.decode(errors="replace").split("\n"))]
        if await asyncio.to_thread(_leads_into, self.private, places):
            raise GitError(f"{uri} lies in the gateway's own directory. Give a repository outside of it.")

    def kept(self, sha256: str) -> CodeBundle | None:
        """A bundle by the hash of its bytes, if this process described it and it is still there."""
        found = self._described.get(sha256)
        if found is None or not found.path.exists():
            return None
        note_use(found.path)
        return found

    async def tidy(self, most: int, *, sources: Collection[tuple[str, str]], bundles: Collection[str]) -> None:
        """Remove the longest unused mirrors and bundles until the rest has at most `most` bytes.

        Those of `sources` (URI and cache key) and `bundles` (hashes) stay, and what was in use just now."""
        found = await asyncio.to_thread(entries, (self._mirrors, self._bundles))
        keep = {self._mirror(Source(uri, key)) for uri, key in sources}
        keep |= {e.path for e in found if e.path.name.partition(".")[2].removesuffix(".tar.gz") in bundles}
        for entry in to_evict(found, keep, most):
            async with self._locks.setdefault(entry.path.name.partition(".")[0], asyncio.Lock()):
                await asyncio.to_thread(remove, entry)

    def _mirror(self, source: Source) -> Path:
        return self._mirrors / hashlib.sha256(f"{source.uri}\0{source.cache_key}".encode()).hexdigest()[:32]

    async def _commit(self, mirror: Path, name: str) -> str | None:
        if not mirror.exists() or name.startswith("-"):
            return None
        args = ["-C", str(mirror), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
        code, out, _ = await run_git(args, 30)
        return out.decode().strip() if code == 0 else None

    async def _branches_hint(self, mirror: Path, wanted: str) -> str:
        _, out, _ = await run_git(["-C", str(mirror), "for-each-ref", "--format=%(refname:short)", "refs/heads"], 30)
        names = out.decode(errors="replace").split()
        names.sort(key=lambda name: SequenceMatcher(None, name, wanted).ratio(), reverse=True)
        return f" It has: {', '.join(names[:10])}{' ...' if len(names) > 10 else ''}." if names else " It is empty."

    async def _fetch(self, source: Source, mirror: Path) -> None:
        way = await self._way(source.uri)
        if not (mirror / "HEAD").exists():
            await run_git(["init", "--quiet", "--bare", "--initial-branch=main", str(mirror)], 30)
        async with login_environment(source.login, source.uri, self._ssh_hosts, way) as environment:
            allow = [f"--config-env=protocol.{p}.allow=MANTIK_ALWAYS" for p in self._protocols]
            # A redirect would take the login to a host of which its owner knows nothing.
            closed = ["-c", "protocol.allow=never", "-c", "http.followRedirects=false"]
            if way is not None:
                closed += ["-c", f"http.curloptResolve={resolved(way, urlsplit(source.uri).scheme)}"]
            base = ["-C", str(mirror), *closed, *allow]
            remote = ["--end-of-options", source.uri]
            code, out, err = await run_git([*base, "ls-remote", "--symref", *remote, "HEAD"], TIME_LIMIT, environment)
            if code == 0:
                head = next((w[1] for w in map(str.split, out.decode().splitlines()) if w[0] == "ref:"), None)
                if head and head.startswith("refs/heads/"):
                    await run_git(["-C", str(mirror), "symbolic-ref", "HEAD", head], 30)
                refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
                # One file for all, so that a limit for files is one for the repository.
                words = ["--quiet", "--prune", "--no-write-fetch-head", "--update-head-ok"]
                fetch = [*base, "-c", "fetch.unpackLimit=1", "fetch", *words]
                largest = self._max_repository_bytes
                code, _, err = await run_git([*fetch, *remote, *refs], TIME_LIMIT, environment, largest)
        if code:
            written, limit = await asyncio.to_thread(_remove_halves, mirror), self._max_repository_bytes
            if limit is not None and written > limit - BLOCK:
                raise too_large(source.uri)
            raise explained(source.uri, err)
        note_use(mirror)

    async def _way(self, uri: str) -> Way | None:
        """To the host's public addresses; None where the operator named the host, or it is a path of this machine."""
        if uri.startswith(("/", "file:")):
            return None
        parts = urlsplit(as_url(uri))
        host = parts.hostname
        if parts.scheme not in self._protocols or not host:
            raise not_taken(uri)
        try:
            addresses = await self.hosts.addresses(host)
        except PrivateHost as error:
            raise GitError(f"uri: {error}") from None
        except OSError as error:
            raise GitError(f"{uri} cannot be reached now.", text=str(error), temporary=True) from None
        return Way(host, parts.port, addresses) if addresses else None


def _patterns(exclude: Sequence[str]) -> list[str]:
    # A name without a slash means that name anywhere, and everything below it, as in .gitignore.
    found: list[str] = []
    for pattern in exclude:
        core = pattern.strip().removeprefix("./").strip("/")
        anchored = "/" in pattern.strip("/") or pattern.startswith(("/", "./"))
        stem = core if anchored else f"**/{core}"
        found += [stem, f"{stem}/**"]
    return found


def _remove_halves(mirror: Path) -> int:
    """What git leaves of a fetch that was ended; the bytes of the largest file of it."""
    largest = 0
    for path in mirror.glob("objects/pack/tmp_*"):
        largest = max(largest, path.stat().st_size)
        path.unlink()
    return largest


def _leads_into(private: Path, paths: Sequence[Path]) -> bool:
    found = [p.resolve() for p in paths if p.is_absolute()]
    for path in tuple(found):
        # Objects of another repository: https://git-scm.com/docs/gitrepository-layout
        borrowed = path / "info" / "alternates"
        if path.name == "objects" and borrowed.is_file():
            found += [(path / line).resolve() for line in borrowed.read_text(errors="replace").splitlines()]
    return any(path.is_relative_to(private) for path in found)


def _describe(path: Path) -> CodeBundle:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return CodeBundle(sha256=digest, path=path, size=path.stat().st_size)
