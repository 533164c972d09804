"""A model of a finished run, under a name of its own, in the real registry of MLflow."""

import asyncio
import uuid

import pytest
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.models import registration, service
from gateway.projects import service as projects
from gateway.projects.rows import Member, Project
from gateway.repositories import experiments
from gateway.runs.rows import Condition, Job, Run
from gateway.schemas.models import ChangeModel, ModelView, RegisterModel
from gateway.users.caller import Caller
from tests.gateway.models.shop import STARTED, Shop, a_shop
from tests.gateway.tracking.house import add_run

pytestmark = pytest.mark.mlflow


async def test_the_one_model_of_a_run_is_found_and_registered_with_where_it_comes_from(shop: Shop) -> None:
    run = await shop.run()
    logged = await shop.log(run, "digits")
    made = await shop.register("net", run)
    full = f"{shop.project}.net"
    assert (made.status, made.mlflow_name, made.mlflow_version) == ("REGISTERED", full, "1")
    assert (made.uri, made.location) == (f"models:/{full}/1", "MLflow")
    assert (made.artifact_path, made.logged_model_id) == ("digits", logged)
    assert made.mlflow_parameters == {"rate": 0.1}
    assert made.origin is not None
    origin = made.origin
    assert (origin.run_id, origin.commit, origin.job_id) == (run.id, "c0ffee", "4711")
    assert origin.compute_budget_account == "budget-a"
    assert (origin.cost.node_hours, origin.cost.cpu_hours, origin.cost.gpu_hours) == (2.0, 16.0, 8.0)
    (version,) = await shop.versions(made.model_id)
    assert version.name == full
    assert version.tags == {
        "mantik.modelId": str(made.model_id),
        "mantik.projectId": str(shop.project),
        "mantik.runId": str(run.id),
        "mantik.commit": "c0ffee",
        "mantik.jobId": "4711",
        "mantik.site": origin.site_name,
        "mantik.computeBudgetAccount": "budget-a",
        "mantik.elapsedSeconds": "3600.0",
        "mantik.nodeHours": "2.0",
        "mantik.cpuHours": "16.0",
        "mantik.gpuHours": "8.0",
    }


async def test_what_nobody_knows_is_unknown(shop: Shop) -> None:
    run = await shop.run(job=False, site_id=None, commit=None, started_at=None)
    await shop.log(run)
    made = await shop.register("net", run)
    assert made.origin is not None
    assert set(made.origin.cost.model_dump().values()) == {None}
    (version,) = await shop.versions(made.model_id)
    for name in ("commit", "jobId", "site", "elapsedSeconds", "nodeHours", "cpuHours", "gpuHours"):
        assert version.tags[f"mantik.{name}"] == "unknown"


async def test_a_cost_that_comes_later_is_told_to_mlflow(shop: Shop) -> None:
    run = await shop.trained()
    async with shop.db.transaction() as session:
        job = await session.get_one(Job, (await _job(shop, run)).id)
        known, job.usage = job.usage, {}
        session.add(Condition(run_id=run.id, name="COLLECTING", since=STARTED, text=""))
    made = await shop.register("net", run)
    assert (await shop.versions(made.model_id))[0].tags["mantik.cpuHours"] == "unknown"
    async with shop.db.transaction() as session:
        (await session.get_one(Job, job.id)).usage = known
        await session.delete(await session.get_one(Condition, (run.id, "COLLECTING")))
    await shop.settle()
    assert (await shop.versions(made.model_id))[0].tags["mantik.cpuHours"] == "16.0"


async def _job(shop: Shop, run: Run) -> Job:
    async with shop.db.reading() as session:
        return (await session.scalars(select(Job).where(Job.run_id == run.id))).one()


async def test_a_classic_folder_is_found_below_other_folders(shop: Shop) -> None:
    run = await shop.run()
    await shop.log_folder(run, "out/best/model")
    made = await shop.register("classic", run)
    assert (made.status, made.artifact_path, made.logged_model_id) == ("REGISTERED", "out/best/model", None)
    given = await shop.register("again", run, artifact_path="out/best/model/")
    assert given.artifact_path == "out/best/model"


async def test_of_several_models_one_is_chosen_by_name_id_or_folder(shop: Shop) -> None:
    run = await shop.run()
    first, second = await shop.log(run, "epoch"), await shop.log(run, "epoch")
    await shop.log(run, "final")
    await shop.log_folder(run, "classic")
    with pytest.raises(InvalidInput) as several:
        await shop.register("net", run)
    for choice in (f"epoch ({first})", f"epoch ({second})", "final (m-", "classic"):
        assert choice in several.value.message
    assert several.value.next_step == "Give the one to register as artifactPath."
    with pytest.raises(InvalidInput, match="the run logged 2 models epoch"):
        await shop.register("net", run, artifact_path="epoch")
    with pytest.raises(InvalidInput, match="the run logged no model other"):
        await shop.register("net", run, artifact_path="other")
    assert (await shop.register("a", run, artifact_path=second)).logged_model_id == second
    assert (await shop.register("b", run, artifact_path="final")).artifact_path == "final"
    assert (await shop.register("c", run, artifact_path="classic")).artifact_path == "classic"
    assert await shop.registered_names() == {"a", "b", "c"}


async def test_a_run_that_logged_nothing_and_one_that_is_not_finished_are_refused(shop: Shop) -> None:
    with pytest.raises(InvalidInput, match="runId: the run logged no model"):
        await shop.register("net", await shop.run())
    for state in ("RUNNING", "FAILED"):
        with pytest.raises(Conflict, match=f"is {state}. Only a model of a FINISHED run can be registered"):
            await shop.register("net", await shop.run(state))
    with pytest.raises(Conflict, match="has no run in MLflow yet"):
        await shop.register("net", await shop.run(mlflow_run_id=None))
    with pytest.raises(InvalidInput, match="no such run"):
        await shop.register("net", await shop.run(deleted_at=STARTED))
    assert await shop.models() == []
    assert await shop.registered_names() == set()


@pytest.mark.parametrize("name", ["", " x", "x ", "a/b", "a:b", "-x", "it's", "a\nb", "x" * 201])
async def test_names_that_mlflow_or_a_folder_reads_otherwise_are_refused(shop: Shop, name: str) -> None:
    with pytest.raises((InvalidInput, ValidationError)):
        await shop.register(name, await add_run(shop.db, shop.home))


async def test_of_two_at_once_one_wins_and_the_other_is_told_of_the_name(shop: Shop) -> None:
    run = await shop.trained()
    told = await asyncio.gather(*(shop.register("net", run) for _ in range(4)), return_exceptions=True)
    (made,) = [one for one in told if isinstance(one, ModelView)]
    refused = [one for one in told if isinstance(one, Conflict)]
    assert len(refused) == 3
    assert {one.message for one in refused} == {"name: this project has a model 'net' already; choose another name."}
    assert len(await shop.versions(made.model_id)) == 1
    assert [model.name for model in await shop.models()] == ["net"]


async def test_two_projects_use_one_name(shop: Shop) -> None:
    other = await a_shop(shop.db, shop.client, shop.faults, "b")
    one, two = await shop.register("net"), await other.register("net")
    assert one.mlflow_name != two.mlflow_name
    await shop.unregister(one)
    assert await shop.registered_names() == set()
    assert await other.registered_names() == {"net"}


async def test_a_model_of_another_project_cannot_be_taken(shop: Shop) -> None:
    other = await a_shop(shop.db, shop.client, shop.faults, "b")
    theirs = await other.run()
    logged = await other.log(theirs)
    await other.log_folder(theirs, "classic")
    mine = await shop.run(mlflow_run_id=theirs.mlflow_run_id)
    with pytest.raises(InvalidInput, match="the run is not in MLflow"):
        await shop.register("net", mine)
    given = {"run_id": None, "location": "there"}
    for uri in (f"models:/{logged}", f"runs:/{theirs.mlflow_run_id}/classic", "models:/m-0a", "runs:/none/x"):
        with pytest.raises(NotFound, match="it is not of this project"):
            await shop.register("net", mine, uri=uri, **given)


async def test_a_model_by_its_uri(shop: Shop) -> None:
    run = await shop.trained()
    await shop.log_folder(run, "classic")
    given = {"run_id": None, "location": "hub"}
    made = await shop.register("elsewhere", run, uri="https://hub.example.org/net", mlflow_parameters={"a": 1}, **given)
    assert (made.status, made.uri, made.location) == ("REGISTERED", "https://hub.example.org/net", "hub")
    assert (made.mlflow_name, made.run_id, made.origin) == (None, None, None)
    inside = await shop.register("inside", run, uri=f"runs:/{run.mlflow_run_id}/classic", **given)
    assert (inside.run_id, inside.location) == (run.id, "hub")
    assert inside.origin is not None
    assert inside.origin.commit == "c0ffee"
    assert inside.uri == f"models:/{shop.project}.inside/1"
    assert await shop.registered_names() == {"inside"}
    for uri in ("/etc/passwd", "https://[::1/x", "https://user:secret@host/x", "models:/net/1"):
        with pytest.raises(InvalidInput, match=r"^uri: "):
            await shop.register("net", run, uri=uri, **given)
    for wrong in ({"run_id": None}, {"uri": "https://a/b"}, {"run_id": None, "uri": "https://a/b"}):
        with pytest.raises(InvalidInput):
            await shop.register("net", run, **wrong)
    for model in (made, inside):
        await shop.unregister(model)
    assert await shop.models() == []


async def test_a_uri_does_not_go_round_the_rules_for_runs(shop: Shop) -> None:
    given = {"run_id": None, "location": "there"}
    running, deleted = await shop.run("RUNNING"), await shop.run(deleted_at=STARTED)
    for run, error, text in ((running, Conflict, "uri: the run train is RUNNING"), (deleted, InvalidInput, "deleted")):
        logged = await shop.log(run)
        await shop.log_folder(run)
        for uri in (f"models:/{logged}", f"runs:/{run.mlflow_run_id}/model"):
            with pytest.raises(error, match=text):
                await shop.register("net", run, uri=uri, **given)
    finished = await shop.run()
    body = {"experiment_id": shop.home.experiment_id, "name": "half", "source_run_id": finished.mlflow_run_id}
    half = (await shop.client.call("POST", "logged-models", body))["model"]["info"]["model_id"]
    with pytest.raises(Conflict, match=rf"uri: the logged model half \({half}\) is not complete"):
        await shop.register("net", finished, uri=f"models:/{half}", **given)
    assert await shop.models() == []


async def test_a_model_that_no_run_of_the_gateway_made_keeps_its_experiment(shop: Shop) -> None:
    there = await shop.client.create_run(shop.home.experiment_id, uuid.uuid4(), "own", "a", {}, STARTED)
    await shop.log_folder(Run(mlflow_run_id=there))
    body = RegisterModel(name="net", uri=f"runs:/{there}/model", location="there")
    made = await registration.register(shop.db, shop.client, shop.caller, shop.project, body)
    assert (made.status, made.run_id) == ("REGISTERED", None)
    args = (shop.db, shop.caller, shop.project, shop.home.experiment.id)
    with pytest.raises(Conflict, match="holds the files of a model stays"):
        await experiments.remove(*args)
    await shop.unregister(made)
    await experiments.remove(*args)


async def test_what_the_database_refuses_is_not_called_a_name_that_is_taken(shop: Shop) -> None:
    nobody = {"run_id": uuid.uuid4(), "connection_id": None, "source": None, "status": "REGISTERED"}
    columns = {"name": "net", "project_id": shop.project, "mlflow_parameters": {}, **nobody}
    with pytest.raises(IntegrityError):
        await registration._store(shop.db, shop.caller, columns)


async def test_a_model_gets_another_name_in_mlflow_too(shop: Shop) -> None:
    run = await shop.trained()
    made, other = await shop.register("net", run), await shop.register("other", run)
    args = (shop.db, shop.client, shop.caller, shop.project, made.model_id)
    renamed = await service.rename(*args, ChangeModel(name="better"))
    assert (renamed.name, renamed.status) == ("better", "REGISTERED")
    assert renamed.uri == f"models:/{shop.project}.better/1"
    assert await shop.registered_names() == {"better", "other"}
    assert len(await shop.versions(made.model_id)) == 1
    with pytest.raises(Conflict, match="name: this project has a model 'other' already"):
        await service.rename(*args, ChangeModel(name="other"))
    with pytest.raises(InvalidInput, match="artifactPath: cannot be changed"):
        await service.rename(*args, ChangeModel(name="x", artifact_path="y"))
    same = ChangeModel(name="third", run_id=run.id, uri=renamed.uri, location="MLflow")
    assert (await service.rename(*args, same)).name == "third"
    assert other.name in await shop.registered_names()


async def test_unregistering_keeps_what_the_run_logged(shop: Shop) -> None:
    run = await shop.run()
    logged = await shop.log(run)
    made = await shop.register("net", run)
    await shop.unregister(made)
    assert await shop.models() == []
    assert await shop.registered_names() == set()
    path = f"logged-models/{logged}/artifacts/directories"
    files = (await shop.client.call("GET", path))["files"]
    assert "MLmodel" in {file["path"] for file in files}
    assert (await shop.register("net", run)).status == "REGISTERED"


async def test_a_run_that_was_deleted_is_still_named(shop: Shop) -> None:
    run = await shop.trained()
    await shop.register("net", run)
    async with shop.db.transaction() as session:
        (await session.get_one(Run, run.id)).deleted_at = STARTED
    (made,) = await shop.models()
    assert made.origin is not None
    assert (made.origin.run_id, made.origin.run_deleted, made.origin.job_id) == (run.id, True, "4711")


async def test_a_project_with_a_model_is_not_deleted(shop: Shop) -> None:
    given = {"run_id": None, "uri": "https://hub.example.org/net", "location": "hub"}
    body = RegisterModel(name="net", **given)
    await registration.register(shop.db, shop.client, shop.caller, shop.project, body)
    with pytest.raises(Conflict, match="A project that has models stays"):
        await projects.remove(shop.db, shop.caller, shop.project)


async def test_a_registered_model_of_a_users_own_is_left_to_them(shop: Shop) -> None:
    full = f"{shop.project}.net"
    await shop.client.call("POST", "registered-models/create", {"name": full})
    made = await shop.register("net")
    await shop.unregister(made)
    assert await shop.registered_names() == {"net"}


async def test_roles(shop: Shop) -> None:
    stranger = Caller(shop.home.user.id, "x", is_admin=False)
    other = await a_shop(shop.db, shop.client, shop.faults, "b")
    made = await shop.register("net")
    body = RegisterModel(name="net", run_id=made.run_id)
    with pytest.raises(NotFound):
        await registration.register(shop.db, shop.client, other.caller, shop.project, body)
    with pytest.raises(NotFound):
        await service.show(shop.db, stranger, other.project, made.model_id)
    async with shop.db.transaction() as session:
        session.add(Member(project_id=shop.project, user_id=other.home.user.id, role="reporter"))
    assert (await service.show(shop.db, other.caller, shop.project, made.model_id)).name == "net"
    with pytest.raises(Forbidden):
        await service.unregister(shop.db, shop.client, other.caller, shop.project, made.model_id)


async def test_strangers_to_a_public_project_see_neither_people_nor_hosts(shop: Shop) -> None:
    made = await shop.register("net")
    other = await a_shop(shop.db, shop.client, shop.faults, "b")
    async with shop.db.transaction() as session:
        (await session.get_one(Project, shop.project)).public = True
    seen = await service.show(shop.db, other.caller, shop.project, made.model_id)
    assert seen.origin is not None
    assert (seen.origin.commit, seen.origin.cost.cpu_hours) == ("c0ffee", 16.0)
    hidden = (seen.origin.site_name, seen.origin.job_id, seen.origin.compute_budget_account, seen.connection_id)
    assert set(hidden) == {None}
    assert seen.user.name == ""
    assert seen.changed_at == seen.created_at
