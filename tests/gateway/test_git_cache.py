"""Mirrors and bundles above the size that the operator set: which go, which stay."""

import os
import time
from pathlib import Path

from gateway.git import GitStore, Source
from gateway.git_cache import IN_USE, Entry, entries, note_use, remove, to_evict
from tests.gateway.test_git import Repository

NOW = 1_000_000.0
OLD = NOW - 2 * IN_USE


def chosen(found: list[Entry], keep: set[Path], most: int) -> list[str]:
    return [entry.path.name for entry in to_evict(found, keep, most, NOW)]


def test_the_longest_unused_goes_first_and_only_as_many_as_needed() -> None:
    found = [Entry(Path(name), 10, OLD - age) for name, age in (("new", 0), ("oldest", 9), ("old", 5))]
    assert chosen(found, set(), 30) == []
    assert chosen(found, set(), 29) == ["oldest"]
    assert chosen(found, set(), 11) == ["oldest", "old"]
    assert chosen(found, {Path("oldest")}, 11) == ["old", "new"]


def test_what_is_in_use_or_needed_stays_also_above_the_size() -> None:
    found = [Entry(Path("now"), 10, NOW - IN_USE + 1), Entry(Path("needed"), 10, OLD)]
    assert chosen(found, {Path("needed")}, 0) == []


def test_what_a_killed_gateway_left_goes_first() -> None:
    found = [Entry(Path("a.part"), 10, OLD), Entry(Path("b.gone"), 10, OLD), Entry(Path("mirror"), 10, OLD - 5)]
    assert chosen(found, set(), 10) == ["a.part", "b.gone"]
    assert chosen([Entry(Path("a.part"), 10, NOW)], set(), 0) == [], "it is being written"


def test_what_was_used_since_it_was_looked_at_stays(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "mirror"
    path.mkdir(parents=True)
    (path / "pack").write_bytes(b"x" * 1000)
    os.utime(path, (1, 1))
    (seen,) = entries([path.parent])
    assert (seen.size, seen.used) == (1000, 1)
    note_use(path)
    assert not remove(seen)
    os.utime(path, (1, 1))
    assert remove(seen)
    assert not remove(seen)
    assert list(path.parent.iterdir()) == []


def age(store: Path) -> None:
    for path in [*(store / "mirrors").iterdir(), *(store / "bundles").iterdir()]:
        os.utime(path, (1, 1))


async def test_a_store_keeps_what_is_needed_and_makes_the_rest_again(tmp_path: Path) -> None:
    store = GitStore(tmp_path / "store", local_paths_allowed=True)
    names = ("needed", "other")
    repositories = {name: Repository(tmp_path / name) for name in names}
    sources = {name: repositories[name].source() for name in names}
    commits = {name: repositories[name].commit({"file": name}) for name in names}
    bundles = {}
    for name in names:
        await store.resolve(sources[name], branch="main", commit=None)
        bundles[name] = await store.bundle(sources[name], commits[name])
    await store.tidy(0, sources=set(), bundles=set())
    assert all(bundle.path.exists() for bundle in bundles.values()), "they were used just now"
    age(tmp_path / "store")
    needed = sources["needed"]
    await store.tidy(0, sources={(needed.uri, needed.cache_key)}, bundles={bundles["needed"].sha256})
    assert bundles["needed"].path.exists()
    assert store.kept(bundles["other"].sha256) is None
    assert len(list((tmp_path / "store" / "mirrors").iterdir())) == 1
    assert (await store.bundle(needed, commits["needed"])) == bundles["needed"]
    assert await store.resolve(sources["other"], branch="main", commit=None) == commits["other"]
    assert (await store.bundle(sources["other"], commits["other"])).sha256 == bundles["other"].sha256


async def test_a_use_makes_young_again(tmp_path: Path) -> None:
    store, repository = GitStore(tmp_path / "store", local_paths_allowed=True), Repository(tmp_path / "repository")
    commit, source = repository.commit({"file": "x"}), Source(str(tmp_path / "repository"), "x")
    await store.resolve(source, branch="main", commit=None)
    bundle = await store.bundle(source, commit)
    for use in (
        lambda: store.resolve(source, branch=None, commit=commit),
        lambda: store.resolve(source, branch="main", commit=None),
        lambda: store.bundle(source, commit),
    ):
        age(tmp_path / "store")
        await use()
        assert any(e.used > time.time() - 60 for e in entries([tmp_path / "store" / "mirrors", bundle.path.parent]))
    age(tmp_path / "store")
    assert store.kept(bundle.sha256) == bundle
    assert bundle.path.stat().st_mtime > time.time() - 60


async def test_another_process_finds_the_bundle_again(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    commit, source = repository.commit({"file": "x"}), Source(str(tmp_path / "repository"), "x")
    first = GitStore(tmp_path / "store", local_paths_allowed=True)
    await first.resolve(source, branch="main", commit=None)
    bundle = await first.bundle(source, commit)
    inode = bundle.path.stat().st_ino
    again = await GitStore(tmp_path / "store", local_paths_allowed=True).bundle(source, commit)
    assert (again, again.path.stat().st_ino) == (bundle, inode)
