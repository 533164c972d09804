"""A registered model loads with MLflow's own client through the gateway, for who may see it."""

from pathlib import Path
from typing import Any

import pytest

from gateway.models import service
from gateway.schemas.models import ChangeModel
from tests.gateway.models.shop import Shop, a_shop
from tests.gateway.tracking import house

pytestmark = [pytest.mark.mlflow, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]
PROGRAMS = Path(__file__).parent / "programs"


async def program(monkeypatch: pytest.MonkeyPatch, name: str, *words: str, **variables: str) -> Any:
    monkeypatch.setattr(house, "PROGRAMS", PROGRAMS)
    return await house.run_program(name, *words, **variables)


async def test_a_member_loads_it_and_a_stranger_does_not(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    app = house.application(shop.db, shop.client)
    other = await a_shop(shop.db, shop.client, shop.faults, "b")
    run = await shop.run("RUNNING")
    async with house.served(app) as uri:
        logged = await program(
            monkeypatch,
            "log.py",
            MLFLOW_TRACKING_URI=uri,
            MLFLOW_TRACKING_TOKEN=await house.run_token(shop.db, run),
            MLFLOW_RUN_ID=str(run.mlflow_run_id),
        )
        async with shop.db.transaction() as session:
            (await session.get_one(type(run), run.id)).state = "FINISHED"
        made = await shop.register("net", run)
        assert made.logged_model_id == logged
        full = str(made.uri)
        reporter = await house.join(shop.db, shop.home, "reporter")
        told = await program(
            monkeypatch, "load.py", full, "models:/net/1", MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN=reporter
        )
        assert told == {full: [6.0], "models:/net/1": [6.0]}
        strange = await program(
            monkeypatch, "load.py", full, MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN=other.home.token
        )
        assert "does not exist, or you may not see it" in strange[full]
        args = (shop.db, shop.client, shop.caller, shop.project, made.model_id)
        better = str((await service.rename(*args, ChangeModel(name="better"))).uri)
        again = await program(
            monkeypatch, "load.py", full, better, MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN=reporter
        )
        assert again[better] == [6.0]
        assert "not found" in again[full] or "does not exist" in again[full]
