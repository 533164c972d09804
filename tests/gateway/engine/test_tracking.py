"""MLflow follows the run. An outage of it delays this and nothing else."""

from sqlalchemy import update

from gateway.runs.states import State
from gateway.sites.rows import Site
from tests.gateway.engine.yard import Yard


async def test_states_tags_config_and_script_stand_in_mlflow(yard: Yard) -> None:
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    job = await yard.until_running(run_id)
    (there,) = yard.mlflow.of(run_id)
    assert job.environment["MLFLOW_RUN_ID"] == there.run_id
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
    (there,) = yard.mlflow.of(run_id)

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
    assert "MLFLOW_RUN_ID" not in job.environment
    assert "TRACKING_BEHIND" in await yard.conditions(run_id)
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
    (there,) = yard.mlflow.of(run_id)
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
