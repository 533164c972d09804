"""A work directory that is full, has no inodes left, or cannot be written."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.site_fixtures import SlurmSite
from tests.whole.faults.own_site import OwnSite, closed_queue, own_site
from tests.whole.workshop import Workshop

pytestmark = pytest.mark.slurm
Place = Callable[[str, str], Path]


@pytest.fixture
def place(slurm_site: SlurmSite, folder: Path) -> Iterator[Place]:
    """Makes small file systems of the user's own. Needs root, as they are mounted."""
    made: list[Path] = []

    def make(name: str, options: str) -> Path:
        path = Path(slurm_site.user_scratch) / f"{folder.name}-{name}"
        path.mkdir()
        made.append(path)
        owner = slurm_site.run("id", "-u", slurm_site.user).strip()
        mount = ["mount", "-t", "tmpfs", "-o", f"mode=755,uid={owner},{options}", "tmpfs", str(path)]
        subprocess.run(mount, check=True)
        return path

    yield make
    for path in made:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()


@pytest.fixture(scope="module")
def node(bulky: Workshop, slurm_site: SlurmSite) -> Iterator[OwnSite]:
    with own_site(bulky, slurm_site, "with disks") as site:
        yield site


def test_no_room_and_no_right(node: OwnSite, bulky: Workshop, place: Place) -> None:
    """At stage, at prepare, no inodes at prepare, no right to write: each on a site of its own, all at once."""
    closed = place("closed", "size=1m")
    closed.chmod(0o555)
    directories = {
        "stage": place("stage", "size=512k"),
        "prepare": place("prepare", "size=1536k"),
        "inodes": place("inodes", "size=16m,nr_inodes=12"),
        "closed": closed,
    }
    runs = {n: node.beside(n, workDirectory=f"{p}/mantik").submit() for n, p in directories.items()}
    ended = {name: bulky.ended(run_id) for name, run_id in runs.items()}
    told = {name: (run["state"], run["reason"], run["message"], run["job"]) for name, run in ended.items()}
    full = "The disk or quota of the work directory is full: {} failed. Make room there, then submit again."
    assert told["stage"] == ("FAILED", "DISK_FULL", full.format("take the code"), None)
    assert told["prepare"] == ("FAILED", "DISK_FULL", full.format("lay out the run's directory"), None)
    assert told["inodes"] == ("FAILED", "DISK_FULL", full.format("lay out the run's directory"), None)
    assert told["closed"][:2] == ("FAILED", "STAGE_IN_FAILED")
    assert "Permission denied" in told["closed"][2]
    assert str(closed) in told["closed"][2]
    for name, run in ended.items():
        assert run["experimentRepositoryId"] == bulky.experiment, name
        assert run["script"].startswith("#!/bin/bash"), name
        assert list(directories[name].glob("mantik/*/*/env")) == [], name


def test_check_of_an_unwritable_directory(node: OwnSite, bulky: Workshop, place: Place) -> None:
    closed = place("closed", "size=1m")
    closed.chmod(0o555)
    site = node.beside("closed, checked", workDirectory=f"{closed}/mantik")
    problem = bulky.gateway.problem("POST", f"{bulky.connections}/{site.connection}/check")
    assert "Permission denied" in problem["detail"]
    assert str(closed) in problem["detail"]


def test_filled_by_the_job(node: OwnSite, bulky: Workshop, place: Place) -> None:
    path = place("fills", "size=6m")
    site = node.beside("fills", workDirectory=f"{path}/mantik")
    run_id = site.submit(entryPoint="fills")
    run = bulky.ended(run_id)
    assert (run["state"], run["reason"], run["exitCode"]) == ("FAILED", "DISK_FULL", 1), bulky.story(run_id)
    assert run["message"] == "The disk of the site is full, or your quota is used up; make room there."
    assert bulky.log(run_id).startswith(b"begins\n")
    assert not (Path(run["workDirectory"]) / "env").exists()


def test_full_when_the_job_starts(node: OwnSite, bulky: Workshop, place: Place) -> None:
    """Not even the log can be written, and there is no room to say how it ended."""
    path = place("late", "size=6m")
    site = node.beside("late", workDirectory=f"{path}/mantik")
    with closed_queue(site.there) as queue:
        run_id = site.submit(resources={"Queue": queue})
        site.job(run_id)
        with suppress(OSError), (path / "fill").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        site.slurm("scontrol", "update", f"partitionname={queue}", "state=up")
        run = bulky.ended(run_id)
    assert (run["state"], run["reason"], run["exitCode"]) == ("FAILED", "DISK_FULL", 1), bulky.story(run_id)
    assert bulky.log(run_id) == b""
