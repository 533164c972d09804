"""What MLflow refuses of a model: for good when it is the first word about it, and else until somebody put it right."""

from datetime import timedelta

import pytest

from gateway import clock
from gateway.models.lineage import Origin
from gateway.models.upkeep import cost_pause
from gateway.runs.rows import Run
from gateway.tracking.client import TrackingRefused
from tests.gateway.models.shop import STARTED, Shop
from tests.gateway.models.test_upkeep import in_step, intend, pending

pytestmark = pytest.mark.mlflow
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WORDS = [("INVALID_PARAMETER_VALUE", 400), ("RESOURCE_DOES_NOT_EXIST", 404), ("", 404), ("PERMISSION_DENIED", 403)]


def refuse(shop: Shop, error_code: str, http_status: int) -> None:
    def refused(_: int, call: str) -> None:
        raise TrackingRefused("not now", error_code=error_code, http_status=http_status)

    shop.faults.before = refused


@pytest.mark.parametrize(("error_code", "http_status"), WORDS)
async def test_a_registered_model_stays_so_whatever_mlflow_refuses(
    shop: Shop, error_code: str, http_status: int
) -> None:
    await shop.register("net")
    for again in (False, True):
        await (shop.age_due() if again else intend(shop))
        refuse(shop, error_code, http_status)
        assert await shop.upkeep.turn()
        assert not await shop.upkeep.turn(), "it is asked again later"
        (waits,) = await shop.models()
        assert (waits.status, waits.message) == ("REGISTERED", "MLflow refused it and is asked again: not now")
    shop.faults.heal()
    await shop.settle()
    await in_step(shop, "net")


@SQLITE
@pytest.mark.parametrize(("error_code", "http_status"), WORDS)
async def test_a_first_registration_fails_only_for_what_it_asks(shop: Shop, error_code: str, http_status: int) -> None:
    await pending(shop, await shop.trained())
    await shop.age()
    refuse(shop, error_code, http_status)
    assert await shop.upkeep.turn()
    (made,) = await shop.models()
    assert made.status == ("FAILED" if error_code == "INVALID_PARAMETER_VALUE" else "PENDING")
    assert str(made.message).startswith("MLflow refused it")


@SQLITE
async def test_an_error_that_nobody_foresaw_is_stored_and_tried_again(shop: Shop) -> None:
    run = await shop.trained()

    def breaks(_: int, call: str) -> None:
        if call.startswith("GET model-versions"):
            raise KeyError("model_version")

    shop.faults.before = breaks
    made = await shop.register("net", run)
    assert (made.status, made.message) == (
        "PENDING",
        "The gateway failed at MLflow's registry; its log has the details.",
    )
    shop.faults.heal()
    await shop.settle()
    await in_step(shop, "net")


@pytest.mark.parametrize(("age", "pause"), [(0, 15), (149, 15), (1500, 150), (36_000, 3600), (10**7, 3600)])
def test_a_run_whose_cost_does_not_come_is_looked_at_ever_more_seldom(age: int, pause: float) -> None:
    now = STARTED + timedelta(seconds=age)
    clock.use(lambda: now)
    assert cost_pause(Origin(Run(ended_at=STARTED), incomplete=True)) == pause


def test_a_cost_that_is_complete_is_not_looked_at() -> None:
    assert cost_pause(Origin(Run(ended_at=STARTED))) is None
    assert cost_pause(None) is None
    assert cost_pause(Origin(Run(ended_at=None), incomplete=True)) == 15.0
