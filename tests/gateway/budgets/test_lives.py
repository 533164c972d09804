"""Previews, configs that are read from the repository, and what a run is known to have cost at its end."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from backends.fake.job import EPOCH
from gateway import clock
from gateway.budgets.settling import settled
from gateway.errors import Conflict
from gateway.repositories.rows import CodeRepository
from gateway.runs.rows import Job
from gateway.runs.states import State
from tests.gateway.budgets.till import NOON, Till

CONFIG = "{Site: fake, Resources: {Queue: batch, Nodes: 2, TasksPerNode: 4, CPUsPerTask: 1, Runtime: 5h}}"


@pytest.fixture(autouse=True)
def at_the_fake_site() -> None:
    """It is the time that the fake site tells of all that begins and ends there."""
    behind = datetime.now(UTC) - EPOCH
    clock.use(lambda: datetime.now(UTC) - behind)


# -- previews


async def test_a_preview_shows_the_cost_and_what_the_guard_would_say(till: Till) -> None:
    shown = await till.preview(till.body(11))
    assert shown.worst_case is not None
    assert (shown.worst_case.core_hours, shown.worst_case.gpu_hours, shown.worst_case.missing) == (11.0, 0.0, [])
    assert shown.warnings == []
    text = "Budget guard of the project: it may cost 11 core-hours, and the cap for one run is 10."
    await till.set("warn", run={"core_hours": 10})
    assert (await till.preview(till.body(11))).warnings == [text]
    await till.set("refuse", run={"core_hours": 10})
    assert (await till.preview(till.body(11))).warnings == [f"{text} It would be refused."]
    assert (await till.preview(till.body(10))).warnings == []
    assert await till.count() == 0


async def test_a_preview_names_what_is_missing(till: Till) -> None:
    shown = await till.preview(till.body(None))
    assert shown.worst_case is not None
    assert (shown.worst_case.core_hours, shown.worst_case.missing) == (None, ["Resources.Runtime"])


async def test_a_previewed_run_is_judged_when_it_is_submitted(till: Till) -> None:
    await till.set(month={"core_hours": 20})
    first, second = till.body(15), till.body(15, name="second")
    tokens = [(await till.preview(body)).preview_token for body in (first, second)]
    answer = await till.submit_previewed(first, tokens[0])
    assert answer.worst_case is not None
    assert answer.worst_case.core_hours == 15.0
    with pytest.raises(Conflict, match="5 are left"):
        await till.submit_previewed(second, tokens[1])


# -- a config in the repository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "with-config"
    path.mkdir()
    (path / "MLproject").write_text("name: project\nentry_points: {main: {command: hello}}\n")
    (path / "hpc.yaml").write_text(CONFIG)
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*name, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(path), *command], check=True)
    return path


@pytest.fixture
async def in_repository(till: Till, repository: Path) -> str:
    """The path of a config in a repository of the project: 40 core-hours."""
    async with till.db.transaction() as session:
        await session.execute(update(CodeRepository).values(uri=str(repository)))
    return "hpc.yaml"


async def test_a_config_of_the_repository_is_judged_when_it_is_read(till: Till, in_repository: str) -> None:
    await till.set(month={"core_hours": 60})
    body = till.yard.body(backend_config=in_repository)
    fits, too_much = await till.send(body), await till.send(body)
    assert fits.worst_case is not None
    assert fits.worst_case.core_hours is None, "nobody knows yet"
    await till.subscribe()
    await till.yard.engine()
    runs = [await till.yard.until_quiet(one.run_id) for one in (fits, too_much)]
    (done,) = [run for run in runs if run.state == State.FINISHED]
    (refused,) = [run for run in runs if run.state == State.FAILED]
    assert (done.worst_core_hours, refused.reason) == (40.0, "BUDGET_REFUSED")
    assert "may cost 40 core-hours, and of the 60 for" in str(refused.message)
    assert await till.yard.attempts(refused.id) == []
    assert await till.reasons() == ["REFUSED"]
    shown = await till.show()
    assert (shown.spent.core_hours, shown.reserved.core_hours) == (40.0, 0.0), "the refused one cost nothing"


async def test_a_config_of_the_repository_is_warned_of_when_it_is_read(till: Till, in_repository: str) -> None:
    await till.set("warn", run={"core_hours": 39})
    run_id = (await till.send(till.yard.body(backend_config=in_repository))).run_id
    await till.yard.engine()
    await till.yard.until_quiet(run_id)
    assert ["the cap for one run is 39" in one.text for one in await till.yard.events(run_id, "budget")] == [True]


async def test_a_preview_of_a_config_of_the_repository_is_not_refused(till: Till, in_repository: str) -> None:
    await till.set(run={"core_hours": 39})
    shown = await till.preview(till.yard.body(backend_config=in_repository))
    assert [text.endswith("It would be refused.") for text in shown.warnings] == [True]


# -- the end


async def test_what_the_site_accounts_takes_the_place_of_the_worst_case(till: Till) -> None:
    yard = till.yard
    run_id = (await till.submit(10, mlflow_parameters={"do": yard.waiting()})).run_id
    await yard.engine()
    await yard.until_running(run_id)
    async with till.db.transaction() as session:
        usage = {"elapsed": "3600", "cputime": "7200", "alloctres": "cpu=2,node=1"}
        await session.execute(update(Job).where(Job.run_id == run_id).values(usage=usage))
    yard.go(run_id)
    run = await yard.until_quiet(run_id)
    assert (run.core_hours, run.gpu_hours, run.worst_core_hours) == (2.0, 0.0, 10.0)
    shown = await till.show()
    assert (shown.spent.core_hours, shown.reserved.core_hours, shown.estimated_runs) == (2.0, 0.0, 0)


async def test_a_site_that_accounts_nothing_leaves_the_worst_case(till: Till) -> None:
    run_id = (await till.submit(10)).run_id
    await till.yard.engine()
    assert (await till.yard.until_quiet(run_id)).core_hours is None
    shown = await till.show()
    assert (shown.spent.core_hours, shown.estimated_runs) == (10.0, 1)


async def test_a_run_that_never_had_a_job_cost_nothing(till: Till) -> None:
    run_id = (await till.submit(10, branch="gone")).run_id
    await till.yard.engine()
    run = await till.yard.until_quiet(run_id)
    assert (run.state, run.core_hours, run.gpu_hours) == (State.FAILED, 0.0, 0.0)
    assert (await till.show()).spent.core_hours == 0.0


async def test_a_lost_run_counts_what_it_might_have_cost_and_is_live_again_when_it_is_found(till: Till) -> None:
    yard = till.yard
    run_id = (await till.submit(10, mlflow_parameters={"do": yard.waiting()})).run_id
    await yard.engine()
    job = await yard.until_running(run_id)
    del yard.site.jobs[job.ref.id]
    await yard.until_condition(run_id, "JOB_MISSING")
    await yard.age_conditions(3600.0)
    await yard.until_state(run_id, State.FAILED)
    shown = await till.show()
    assert (shown.spent.core_hours, shown.reserved.core_hours) == (10.0, 0.0)
    yard.site.jobs[job.ref.id] = job
    await yard.until_state(run_id, State.RUNNING)
    shown = await till.show()
    assert (shown.spent.core_hours, shown.reserved.core_hours) == (0.0, 10.0)
    yard.go(run_id)
    await yard.until_state(run_id, State.FINISHED)


@pytest.mark.parametrize(
    ("usage", "worst_gpu", "wanted"),
    [
        ({"elapsed": "3600", "cputime": "7200", "alloctres": "cpu=2,node=1"}, 0.0, (2.0, 0.0)),
        ({"elapsed": "1800", "cputime": "3600", "alloctres": "cpu=2,gres/gpu=4,node=1"}, 8.0, (1.0, 2.0)),
        ({"elapsed": "1800", "cputime": "3600", "alloctres": "cpu=2,node=1"}, 8.0, (1.0, None)),
        ({"elapsed": "0", "cputime": "0"}, 8.0, (0.0, 0.0)),  # cancelled in the queue
        ({}, 0.0, (None, None)),
    ],
)
def test_what_a_site_tells_of_a_job(
    usage: dict[str, Any], worst_gpu: float, wanted: tuple[float | None, float | None]
) -> None:
    found = settled(usage, "", worst_gpu, NOON, NOON.replace(hour=13))
    assert (found["core_hours"], found["gpu_hours"]) == wanted
