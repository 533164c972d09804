"""The gateway and MLflow's registry come together again, wherever between the two it was broken off."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from gateway.errors import Conflict
from gateway.models import service
from gateway.models.passes import Pass
from gateway.models.rows import TrainedModel
from gateway.models.sweep import sweep
from gateway.models.upkeep import Upkeep
from gateway.runs.rows import Run
from gateway.schemas.models import ChangeModel, ModelView
from gateway.tracking import model_versions
from tests.gateway.models.faults import Killed
from tests.gateway.models.shop import Shop, a_shop

pytestmark = pytest.mark.mlflow
SEARCH, MAKE, CREATE = "GET model-versions/search", "POST registered-models/create", "POST model-versions/create"
DELETE, LOOK, REMOVE = "DELETE model-versions/delete", "GET registered-models/get", "DELETE registered-models/delete"
WHEN = pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])


async def pending(shop: Shop, run: Run, name: str = "net") -> ModelView:
    """A model that is written down, and of which MLflow knows nothing."""
    shop.faults.lose(SEARCH, answered=False)
    made = await shop.register(name, run)
    shop.faults.heal()
    assert (made.status, made.mlflow_name) == ("PENDING", None)
    return made


async def intend(shop: Shop, **values: Any) -> None:
    """An intent about the one model, written down, and nothing of it in MLflow yet."""
    async with shop.db.transaction() as session:
        await session.execute(update(TrainedModel).values(due_at=TrainedModel.created_at, **values))


async def dies(shop: Shop, number: int, *, answered: bool) -> str | None:
    """A pass over the one model in which the gateway dies at a call: which, or None when there were not so many."""
    async with shop.db.reading() as session:
        row = (await session.scalars(select(TrainedModel))).one()
    shop.faults.kill(number, answered=answered)
    try:
        await shop.upkeep.attempt(Pass(row.id, row.epoch))
    except Killed as killed:
        return str(killed)
    finally:
        shop.faults.heal()
    return None


async def in_step(shop: Shop, name: str) -> ModelView:
    """The one model, which MLflow has once and as the gateway says."""
    (made,) = await shop.models()
    (version,) = await shop.versions(made.model_id)
    assert (made.name, made.status, made.message) == (name, "REGISTERED", None)
    assert (version.name, version.number) == (made.mlflow_name, made.mlflow_version)
    assert version.name == f"{shop.project}.{name}"
    assert version.tags["mantik.runId"] == str(made.run_id)
    assert await shop.registered_names() == {name}
    return made


@WHEN
async def test_a_gateway_that_dies_while_it_registers(shop: Shop, answered: bool) -> None:
    run, died = await shop.trained(), []
    while True:
        await pending(shop, run)
        died.append(await dies(shop, len(died) + 1, answered=answered))
        await shop.settle()
        await shop.unregister(await in_step(shop, "net"))
        await shop.settle()
        assert await shop.registered_names() == set()
        if died[-1] is None:
            break
    assert died == [SEARCH, MAKE, CREATE, None]


@WHEN
async def test_a_gateway_that_dies_while_it_unregisters(shop: Shop, answered: bool) -> None:
    run, died = await shop.trained(), []
    while True:
        await shop.register("net", run)
        await intend(shop, status="UNREGISTERING")
        died.append(await dies(shop, len(died) + 1, answered=answered))
        if died[-1] is not None:
            with pytest.raises(Conflict, match="the model 'net' of this project is being unregistered"):
                await shop.register("net", run)
        await shop.settle()
        assert await shop.models() == []
        assert await shop.registered_names() == set()
        if died[-1] is None:
            break
    assert died == [SEARCH, DELETE, LOOK, SEARCH, REMOVE, LOOK, None]


@WHEN
async def test_a_gateway_that_dies_while_it_renames(shop: Shop, answered: bool) -> None:
    run, died = await shop.trained(), []
    while True:
        made = await shop.register("net", run)
        await intend(shop, status="PENDING", name="better")
        died.append(await dies(shop, len(died) + 1, answered=answered))
        await shop.settle()
        assert (await in_step(shop, "better")).model_id == made.model_id
        await shop.unregister(made)
        if died[-1] is None:
            break
    assert died == [SEARCH, SEARCH, "POST registered-models/rename", SEARCH, None]


async def test_an_answer_that_is_lost_makes_no_second_version(shop: Shop) -> None:
    run = await shop.trained()
    shop.faults.lose(CREATE, answered=True)
    made = await shop.register("net", run)
    assert made.status == "PENDING"
    assert made.message == "The tracking server does not answer now."
    shop.faults.heal()
    await shop.settle()
    assert (await in_step(shop, "net")).mlflow_version == "1"


async def test_a_version_that_comes_after_all_is_taken_away_again(shop: Shop) -> None:
    """MLflow did it long after the answer was given up, and the gateway had made another one meanwhile."""
    made = await pending(shop, await shop.trained())
    shop.faults.lose(CREATE, answered=False)
    await shop.age()
    await shop.upkeep.turn()
    shop.faults.heal()
    await shop.age_due()
    await shop.upkeep.turn()
    row = await shop.row(made.model_id)
    assert row is not None
    assert row.due_at == row.uncertain_until
    named = {"mlflow_run_id": row.mlflow_run_id, "logged_model_id": row.logged_model_id}
    tags = {model_versions.MODEL_TAG: str(row.id)}
    await model_versions.create_version(shop.client, str(row.mlflow_name), str(row.source), tags, **named)
    assert len(await shop.versions(row.id)) == 2
    await shop.settle()
    assert (await in_step(shop, "net")).mlflow_version == "1"


async def test_unregistering_waits_for_a_version_that_may_still_come(shop: Shop) -> None:
    run = await shop.trained()
    shop.faults.lose(CREATE, answered=True)
    made = await shop.register("net", run)
    shop.faults.heal()
    await shop.unregister(made)
    (waits,) = await shop.models()
    assert waits.status == "UNREGISTERING"
    assert await shop.versions(made.model_id) == []
    await shop.settle()
    assert await shop.models() == []


async def test_an_intent_that_comes_while_a_version_is_made_wins(shop: Shop) -> None:
    made = await pending(shop, await shop.trained())
    row = await shop.row(made.model_id)
    assert row is not None
    reached, go_on = asyncio.Event(), asyncio.Event()
    make = model_versions.ensure_model

    async def slowly(*args: Any) -> None:
        reached.set()
        await go_on.wait()
        await make(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_versions, "ensure_model", slowly)
        pass_ = asyncio.create_task(shop.upkeep.attempt(Pass(row.id, row.epoch)))
        await reached.wait()
        await shop.unregister(made)
        go_on.set()
        await pass_
    await shop.settle()
    assert await shop.models() == []
    assert await shop.versions(made.model_id) == []
    assert await shop.registered_names() == set()


async def test_mlflow_is_away_and_comes_back(shop: Shop) -> None:
    run = await shop.trained()
    await pending(shop, run)
    shop.faults.lose(SEARCH, answered=False)
    for _ in range(3):
        await shop.age()
        assert await shop.upkeep.turn()
    assert not await shop.upkeep.turn(), "it is not asked again at once"
    (waits,) = await shop.models()
    assert (waits.status, waits.message) == ("PENDING", "The tracking server does not answer now.")
    shop.faults.heal()
    await shop.settle()
    made = await in_step(shop, "net")
    shop.faults.lose(SEARCH, answered=False)
    await shop.unregister(made)
    assert [model.status for model in await shop.models()] == ["UNREGISTERING"]
    shop.faults.heal()
    await shop.settle()
    assert await shop.models() == []


async def test_several_gateways_do_it_once(shop: Shop) -> None:
    run = await shop.trained()
    for number in range(6):
        await pending(shop, run, f"net-{number}")
    await shop.age()
    gateways = [Upkeep(shop.db, shop.client) for _ in range(3)]
    while any(await asyncio.gather(*(gateway.turn() for gateway in gateways))):
        pass
    assert shop.faults.calls.count(CREATE) == 6
    for made in await shop.models():
        assert made.status == "REGISTERED"
        assert len(await shop.versions(made.model_id)) == 1


async def test_a_name_that_is_taken_in_mlflow_by_a_users_own_model(shop: Shop) -> None:
    """Made by MLflow's client: the gateway's version stands beside it, and takes none of theirs away."""
    run = await shop.trained()
    for name in ("mine", "theirs"):
        await shop.client.call("POST", "registered-models/create", {"name": f"{shop.project}.{name}"})
    made = await shop.register("net", run)
    row = await shop.row(made.model_id)
    assert row is not None
    source = {"source": row.source, "run_id": row.mlflow_run_id, "model_id": row.logged_model_id}
    for name in ("theirs", "net"):
        await shop.client.call("POST", "model-versions/create", {"name": f"{shop.project}.{name}", **source})
    args = (shop.db, shop.client, shop.caller, shop.project, made.model_id)
    renamed = await service.rename(*args, ChangeModel(name="theirs"))
    assert (renamed.status, renamed.mlflow_version) == ("REGISTERED", "2")
    assert len(await shop.versions(made.model_id)) == 1
    assert await model_versions.numbers_of(shop.client, f"{shop.project}.net") == {"2"}
    await shop.unregister(renamed)
    assert await model_versions.numbers_of(shop.client, f"{shop.project}.theirs") == {"1"}
    assert await shop.registered_names() == {"mine", "theirs", "net"}


async def test_what_mlflow_refuses_is_failed_and_says_why(shop: Shop) -> None:
    made = await pending(shop, await shop.trained())
    async with shop.db.transaction() as session:
        (await session.get_one(TrainedModel, made.model_id)).logged_model_id = "m-0123"
    await shop.settle()
    (failed,) = await shop.models()
    assert failed.status == "FAILED"
    assert str(failed.message).startswith("MLflow refused it: ")
    await shop.unregister(failed)
    await shop.settle()
    assert await shop.models() == []


async def test_what_somebody_changed_in_mlflow_is_put_right(shop: Shop) -> None:
    run = await shop.trained()
    made = await shop.register("net", run)
    await shop.client.call("DELETE", "registered-models/delete", {"name": str(made.mlflow_name)})
    await sweep(shop.db, shop.client)
    await shop.settle()
    made = await in_step(shop, "net")
    await model_versions.rename_model(shop.client, str(made.mlflow_name), f"{shop.project}.other")
    await sweep(shop.db, shop.client)
    await shop.settle()
    await in_step(shop, "net")
    epoch = (await shop.row(made.model_id) or TrainedModel()).epoch
    await sweep(shop.db, shop.client)
    await shop.settle()
    assert (await shop.row(made.model_id) or TrainedModel()).epoch == epoch, "what is in step is left alone"


async def test_a_version_whose_model_is_gone_goes_and_those_of_others_stay(shop: Shop) -> None:
    """As after a database was set back to an older state."""
    other = await a_shop(shop.db, shop.client, shop.faults, "b")
    gone, kept = await shop.register("gone"), await other.register("kept")
    async with shop.db.transaction() as session:
        await session.execute(delete(TrainedModel).where(TrainedModel.id == gone.model_id))
    row = await shop.row(kept.model_id)
    assert row is not None
    tags = {
        model_versions.MODEL_TAG: "6c1d0a3e-0000-4000-8000-000000000000",
        model_versions.PROJECT_TAG: "6c1d0a3e-0000-4000-8000-000000000001",
    }
    named = {"mlflow_run_id": row.mlflow_run_id, "logged_model_id": row.logged_model_id}
    foreign = await model_versions.create_version(shop.client, str(row.mlflow_name), str(row.source), tags, **named)
    await sweep(shop.db, shop.client)
    assert await shop.versions(gone.model_id) == []
    assert await shop.registered_names() == set()
    assert len(await shop.versions(kept.model_id)) == 1
    assert foreign.number in await model_versions.numbers_of(shop.client, str(row.mlflow_name))
    await model_versions.delete_version(shop.client, foreign)
