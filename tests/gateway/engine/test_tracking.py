"""MLflow follows the run. An outage of it delays this and nothing else."""

import asyncio
import uuid
from datetime import datetime

import httpx
import pytest
from sqlalchemy import delete, event, update

from gateway.api.app import create_app
from gateway.db.lease import later
from gateway.engine.tracker import LATE_SECONDS, STEPS_ASIDE_SECONDS, Tracker
from gateway.runs.rows import Condition, Run
from gateway.runs.states import State
from gateway.sites.rows import Site
from gateway.tracking import own
from tests.gateway.engine.yard import Yard
from tests.gateway.fake_mlflow import FakeRun


async def known(yard: Yard, run_id: uuid.UUID) -> FakeRun:
    """Its run in MLflow, once that is stored."""

    async def stored() -> bool:
        return (await yard.run(run_id)).mlflow_run_id is not None

    await yard.until(stored, "a run in MLflow")
    (there,) = yard.mlflow.of(run_id)
    return there


async def test_states_tags_config_and_script_stand_in_mlflow(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    assert job.environment["MLFLOW_RUN_ID"] == run_id.hex
    there = await known(yard, run_id)
    assert job.environment["MLFLOW_TRACKING_URI"].endswith("/tracking/")
    assert "MLFLOW_ALLOW_FILE_STORE" not in job.environment

    async def told() -> bool:
        return there.status == "RUNNING"

    await yard.until(told, "RUNNING")
    yard.go(run_id)
    run = await yard.until_quiet(run_id)
    assert (there.status, there.tags["mantik.state"]) == ("FINISHED", "FINISHED")
    assert run.ended_at is not None
    assert there.end_time == int(run.ended_at.timestamp() * 1000)
    assert there.tags["mantik.jobId"] == job.ref.id
    assert there.tags["mantik.commit"] == run.commit
    files = {path.rpartition("artifacts/")[2]: data for path, data in yard.mlflow.artifacts.items()}
    assert set(files) == {"mantik/backend-config.json", "mantik/job.sh"}
    assert files["mantik/job.sh"] == job.attempt.script
    assert run.mlflow_run_id == there.run_id


async def test_a_queued_run_is_scheduled_and_a_cancelled_one_killed(yard: Yard) -> None:
    from gateway.runs import service

    yard.site.hold = True
    run_id = await yard.submit()
    await yard.engine()
    await yard.until_state(run_id, State.QUEUED)
    there = await known(yard, run_id)

    async def scheduled() -> bool:
        return there.status == "SCHEDULED"

    await yard.until(scheduled, "SCHEDULED")
    await service.cancel(yard.db, yard.caller, yard.project_id, run_id)
    await yard.until_quiet(run_id)
    assert there.status == "KILLED"


async def test_without_mlflow_the_run_goes_on_and_mlflow_is_told_later(yard: Yard) -> None:
    yard.mlflow.away = True
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    assert job.environment["MLFLOW_RUN_ID"] == run_id.hex
    await yard.until_condition(run_id, "TRACKING_BEHIND")
    yard.go(run_id)
    await yard.until_state(run_id, State.FINISHED)
    await yard.until_condition(run_id, "COLLECTING", there=False)
    assert "TRACKING_BEHIND" in await yard.conditions(run_id)
    yard.mlflow.away = False
    run = await yard.until_quiet(run_id)
    (there,) = yard.mlflow.of(run_id)
    assert (there.status, run.mlflow_run_id) == ("FINISHED", there.run_id)
    assert len(yard.mlflow.artifacts) == 2
    assert await yard.conditions(run_id) == {}


async def test_a_job_calls_before_the_engine_told_mlflow_of_its_run(yard: Yard) -> None:
    """MLflow is away at submit and back when the job asks: the job's call makes the run, and the engine takes it."""
    yard.mlflow.away = True
    run_id = await yard.submit(yard.waiting())
    engine = await yard.engine()
    job = await yard.until_running(run_id)
    await engine.stop()
    yard.mlflow.away = False
    assert yard.mlflow.runs == {}
    headers = {"authorization": f"Bearer {job.environment['MLFLOW_TRACKING_TOKEN']}"}
    transport = httpx.ASGITransport(create_app(yard.context))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway/tracking", headers=headers) as http:
        ask = {"run_id": job.environment["MLFLOW_RUN_ID"]}
        answers = await asyncio.gather(*(http.get("/api/2.0/mlflow/runs/get", params=ask) for _ in range(3)))
    (there,) = yard.mlflow.runs.values()
    assert [answer.json()["run"]["info"]["run_id"] for answer in answers] == [there.run_id] * 3
    await yard.engine()
    yard.go(run_id)
    run = await yard.until_quiet(run_id)
    (same,) = yard.mlflow.runs.values()
    assert (same.run_id, same.status, same.tags["mantik.jobId"]) == (run.mlflow_run_id, "FINISHED", job.ref.id)


async def test_a_job_that_does_not_reach_the_gateway_is_told_of_no_mlflow(yard: Yard) -> None:
    async with yard.db.transaction() as session:
        await session.execute(update(Site).values(compute_nodes_reach_gateway="no"))
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    about = {name: value for name, value in job.environment.items() if name.startswith("MLFLOW_")}
    assert about == {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
    yard.go(run_id)
    run = await yard.until_quiet(run_id)
    (there,) = yard.mlflow.of(run_id)
    assert (there.status, run.mlflow_run_id) == ("FINISHED", there.run_id)


async def test_an_outage_while_it_runs_is_made_up_for(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    await yard.until_running(run_id)
    there = await known(yard, run_id)
    yard.mlflow.away = True
    yard.go(run_id)
    await yard.until_condition(run_id, "TRACKING_BEHIND")
    run = await yard.until_state(run_id, State.FINISHED)
    yard.mlflow.away = False
    run = await yard.until_quiet(run_id)
    assert (there.status, run.tracking_failures) == ("FINISHED", 0)
    assert await yard.conditions(run_id) == {}


async def test_an_answer_of_create_that_got_lost_makes_no_second_run(yard: Yard) -> None:
    yard.mlflow.lost_answers += ["experiments/create", "runs/create"]
    run_id = await yard.submit()
    await yard.engine()
    run = await yard.until_quiet(run_id)
    (there,) = yard.mlflow.runs.values()
    assert run.mlflow_run_id == there.run_id
    assert yard.mlflow.lost_answers == []


async def test_what_a_crash_left_unstored_is_found(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, (run_id,) = await queued(yard)

    async def crash(*_: object) -> str:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(own, "_store", crash)
        with pytest.raises(OSError, match="killed"):
            await tracker.turn(busy=False)
    await due_for(yard, run_id, 0)
    await tracker.turn(busy=False)
    (there,) = yard.mlflow.runs.values()
    run = await yard.run(run_id)
    assert (run.mlflow_run_id, there.status, run.tracking_due_at) == (there.run_id, "SCHEDULED", None)


async def test_what_telling_of_a_run_costs(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, (first, second) = await queued(yard, 2)
    await due_for(yard, first, 1)
    tracker.away = True
    await tracker.turn(busy=False)  # which makes the experiment too
    said: list[str] = []
    asked: list[str] = []
    answer = yard.mlflow._answer

    def count(request: httpx.Request, path: str) -> httpx.Response:
        asked.append(f"{request.method} {path.removeprefix('/api/2.0/mlflow/')}".split("/api")[0].rstrip())
        return answer(request, path)

    def hear(*about: object) -> None:
        word = str(about[2]).split()[0]
        if word not in ("BEGIN", "COMMIT"):
            said.append(word)

    monkeypatch.setattr(yard.mlflow, "_answer", count)
    event.listen(yard.db.engine.sync_engine, "before_cursor_execute", hear)
    await tracker.turn(busy=False)
    claimed, linked, done = ("SELECT", "SELECT", "UPDATE"), ("SELECT", "SELECT", "UPDATE"), ("SELECT", "UPDATE")
    assert said == [*claimed, *linked, *done]
    assert asked == ["POST runs/create", "POST runs/update", "GET runs/get", "PUT", "PUT"]
    await due_for(yard, second, 0)
    said.clear()
    asked.clear()
    await tracker.turn(busy=False)
    assert said == [*claimed, *done]
    assert asked == ["POST runs/log-batch"]


async def test_mlflow_steps_aside_for_runs_on_their_way_to_a_site(yard: Yard) -> None:
    """One by one, with pauses, and only what has waited: unless it gets late."""
    tracker, (first, second) = await queued(yard, 2)
    await due_for(yard, first, STEPS_ASIDE_SECONDS - 2)
    await due_for(yard, second, STEPS_ASIDE_SECONDS - 2)
    assert (await tracker.turn(busy=True), yard.mlflow.runs) == (False, {})
    await due_for(yard, first, STEPS_ASIDE_SECONDS + 1)
    await due_for(yard, second, STEPS_ASIDE_SECONDS + 2)
    assert (await tracker.turn(busy=True), len(yard.mlflow.of(second)), yard.mlflow.of(first)) == (False, 1, [])
    await due_for(yard, first, LATE_SECONDS + 1)
    assert (await tracker.turn(busy=True), len(yard.mlflow.of(first))) == (True, 1)
    assert await tracker.turn(busy=False) is False


async def test_while_mlflow_is_away_one_run_asks(yard: Yard) -> None:
    tracker, (first, second) = await queued(yard, 2)
    yard.mlflow.away = True
    for waits in (first, second):
        await due_for(yard, waits, 1)
    assert await tracker.turn(busy=False) is False
    assert set(await yard.conditions(first)) == set(await yard.conditions(second)) == {"TRACKING_BEHIND"}
    for waits in (first, second):
        await due_for(yard, waits, 1)
    yard.mlflow.away = False
    assert await tracker.turn(busy=False) is True
    assert len(yard.mlflow.runs) == 1
    await tracker.turn(busy=False)
    assert len(yard.mlflow.runs) == 2
    assert await yard.conditions(first) == await yard.conditions(second) == {}


async def test_what_comes_in_meanwhile_is_still_due(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, (run_id,) = await queued(yard)
    update_run = yard.context.tracking.update_run

    async def and_then_it_runs(mlflow_run_id: str, status: str, end_time: datetime | None) -> None:
        await update_run(mlflow_run_id, status, end_time)
        async with yard.db.transaction() as session:
            await session.execute(update(Run).values(state=State.RUNNING))

    with monkeypatch.context() as patch:
        patch.setattr(yard.context.tracking, "update_run", and_then_it_runs)
        await tracker.turn(busy=False)
    run = await yard.run(run_id)
    assert run.mlflow_status == "SCHEDULED"
    assert run.tracking_due_at is not None
    await tracker.turn(busy=False)
    (there,) = yard.mlflow.of(run_id)
    assert there.status == "RUNNING"


async def queued(yard: Yard, count: int = 1) -> tuple[Tracker, list[uuid.UUID]]:
    """Runs that the site has and MLflow was never asked for, all due now, and what tells it."""
    yard.site.hold = yard.mlflow.away = True
    runs = [await yard.submit() for _ in range(count)]
    engine = await yard.engine()
    for run_id in runs:
        await yard.until_state(run_id, State.QUEUED)
    await engine.stop()
    yard.mlflow.away = engine.tracker.away = False
    async with yard.db.transaction() as session:
        await session.execute(update(Run).values(tracking_failures=0, tracking_due_at=later(session, 0)))
        await session.execute(delete(Condition))
    return engine.tracker, runs


async def due_for(yard: Yard, run_id: uuid.UUID, seconds: float) -> None:
    async with yard.db.transaction() as session:
        waiting = later(session, -seconds)
        await session.execute(update(Run).where(Run.id == run_id).values(tracking_due_at=waiting))
