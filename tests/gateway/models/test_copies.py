"""Versions that MLflow's own client copied of the gateway's, with all their tags, are their maker's."""

from typing import Any

import pytest

from gateway.models.sweep import sweep
from gateway.schemas.models import ModelView
from gateway.tracking import model_versions
from tests.gateway.models.shop import Shop
from tests.gateway.models.test_upkeep import in_step
from tests.gateway.tracking import house

pytestmark = pytest.mark.mlflow
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
COPY = "theirs"


async def a_copy(shop: Shop, made: ModelView) -> dict[str, Any]:
    """What `copy_model_version` of MLflow's client sends, for a registered model that is there."""
    (version,) = await shop.versions(made.model_id)
    place = [("name", version.name), ("version", version.number)]
    there = (await shop.client.call("GET", "model-versions/get", query=place))["model_version"]
    await shop.client.call("POST", "registered-models/create", {"name": f"{shop.project}.{COPY}"})
    return {
        "name": f"{shop.project}.{COPY}",
        "source": f"models:/{version.name}/{version.number}",
        **{key: there[key] for key in ("run_id", "model_id") if there.get(key)},
        "tags": [{"key": key, "value": value} for key, value in version.tags.items()],
    }


@SQLITE
async def test_a_copy_made_in_mlflow_stays(shop: Shop) -> None:
    made = await shop.register("net")
    await shop.client.call("POST", "model-versions/create", await a_copy(shop, made))
    assert len(await shop.versions(made.model_id)) == 1
    before = await shop.row(made.model_id)
    await sweep(shop.db, shop.client)
    await shop.settle()
    after = await shop.row(made.model_id)
    assert before is not None
    assert after is not None
    assert before.epoch == after.epoch, "it is in step"
    await shop.unregister(made)
    await sweep(shop.db, shop.client)
    assert await model_versions.numbers_of(shop.client, f"{shop.project}.{COPY}") == {"1"}
    assert await shop.registered_names() == {COPY}


@SQLITE
async def test_a_copy_through_the_gateway_is_made_without_its_tags(shop: Shop) -> None:
    made = await shop.register("net")
    body = await a_copy(shop, made)
    row = await shop.row(made.model_id)
    assert row is not None
    body["tags"].append({"key": "mine", "value": "1"})
    files = {**body, "source": f"runs:/{row.mlflow_run_id}/model"}
    prompt = {**body, "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}
    place = "/api/2.0/mlflow/model-versions/create"
    async with house.door(house.application(shop.db, shop.client), shop.home.token) as http:
        answer = await http.post(place, json=body)
        assert answer.status_code == 200, answer.text
        for refused in (files, prompt):
            assert (await http.post(place, json=refused)).status_code == 403
    assert answer.json()["model_version"]["tags"] == [{"key": "mine", "value": "1"}]
    assert await model_versions.numbers_of(shop.client, f"{shop.project}.{COPY}") == {"1"}


@pytest.mark.parametrize(
    ("source", "copy"),
    [
        ("models:/a.net/1", True),
        ("models:/m-0123", False),
        ("mlflow-artifacts:/1/models/m-0123/artifacts", False),
        ("runs:/0123/model", False),
        ("", False),
    ],
)
def test_what_is_a_copy(source: str, copy: bool) -> None:
    assert model_versions.Version("net", "1", {}, source).is_copy is copy


@SQLITE
async def test_a_name_with_an_apostrophe_is_put_right(shop: Shop) -> None:
    made = await shop.register("net")
    await model_versions.rename_model(shop.client, str(made.mlflow_name), f"{shop.project}.it's")
    assert await model_versions.numbers_of(shop.client, f"{shop.project}.it's") == {"1"}
    await sweep(shop.db, shop.client)
    await shop.settle()
    await in_step(shop, "net")


@SQLITE
async def test_a_name_that_no_filter_can_hold_is_left_alone(shop: Shop) -> None:
    made = await shop.register("net")
    odd = """it's "odd\""""
    await model_versions.rename_model(shop.client, str(made.mlflow_name), f"{shop.project}.{odd}")
    assert await model_versions.numbers_of(shop.client, f"{shop.project}.{odd}") is None
    await sweep(shop.db, shop.client)
    await shop.settle()
    assert [version.name for version in await shop.versions(made.model_id)] == [f"{shop.project}.net"]
    assert await shop.registered_names() == {"net", odd}
