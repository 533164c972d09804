"""Names of registered models, and their sources."""

from uuid import UUID

import httpx
import pytest

from gateway.errors import Forbidden, InvalidInput, NotFound
from gateway.tracking import registry
from gateway.tracking.client import TrackingClient
from gateway.tracking.message import Address, Kind
from gateway.tracking.names import experiment_name, model_name, split_experiment, split_model

ONE, TWO = UUID(int=1), UUID(int=2)


def knowing(*names: str) -> TrackingClient:
    answer = {"registered_models": [{"name": name} for name in names]}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
    return TrackingClient("http://mlflow.test", httpx.AsyncClient(transport=transport))


@pytest.mark.parametrize("name", ["net", "a.b.c", "with space", "é", "1.2/3"])
def test_names_come_back(name: str) -> None:
    assert split_model(model_name(ONE, name)) == (ONE, name)
    assert split_experiment(experiment_name(ONE, name)) == (ONE, name)
    assert split_model(name) == (None, name)


async def test_a_bare_name_is_found_where_it_is_the_only_one() -> None:
    assert await registry.existing(knowing(), "net", {ONE}) == (ONE, model_name(ONE, "net"))
    client = knowing(model_name(TWO, "net"), model_name(TWO, "my.net"), model_name(UUID(int=3), "net"))
    assert await registry.existing(client, "net", {ONE, TWO}) == (TWO, model_name(TWO, "net"))
    with pytest.raises(InvalidInput, match="Several of your projects have a model net"):
        await registry.existing(knowing(model_name(ONE, "net"), model_name(TWO, "net")), "net", {ONE, TWO})
    with pytest.raises(NotFound):
        await registry.existing(knowing(), "net", {ONE, TWO})
    with pytest.raises(NotFound):
        await registry.existing(knowing(), "net", set())
    with pytest.raises(InvalidInput):
        await registry.existing(knowing(), "x' OR name != '", {ONE, TWO})


def test_a_model_stays_in_its_project() -> None:
    assert registry.renamed("b", ONE) == registry.renamed(model_name(ONE, "b"), ONE) == model_name(ONE, "b")
    with pytest.raises(Forbidden):
        registry.renamed(model_name(TWO, "b"), ONE)


@pytest.mark.parametrize(
    ("given", "sent", "named"),
    [
        ("runs:/abc/model", "runs:/abc/model", [Address(Kind.RUN, "abc")]),
        ("models:/m-0a", "models:/m-0a", [Address(Kind.LOGGED_MODEL, "m-0a")]),
        ("models:/net/3", "models:/FULL/3", []),
        ("models:/net@best", "models:/FULL@best", []),
        ("mlflow-artifacts:/7/r/artifacts/m", "mlflow-artifacts:/7/r/artifacts/m", [Address(Kind.EXPERIMENT, "7")]),
        ("mlflow-artifacts:///7/r", "mlflow-artifacts:/7/r", [Address(Kind.EXPERIMENT, "7")]),
    ],
)
async def test_sources(given: str, sent: str, named: list[Address]) -> None:
    async def of_model(name: str) -> str:
        assert name == "net"
        return "FULL"

    assert await registry.source(given, of_model) == (sent, named)


@pytest.mark.parametrize(
    "given",
    [
        *(
            "",
            "file:///etc",
            "/etc",
            "s3://bucket/x",
            "http://h/x",
            "mlflow-artifacts://h/7/r",
            "mlflow-artifacts:/x/r",
        ),
        *("runs:/abc/../def", "runs://h/abc", "runs:/abc/x?y=1", "runs:/abc/%2e%2e/def", "models://h/net/3"),
        "models:/net",
    ],
)
async def test_other_sources_are_refused(given: str) -> None:
    async def of_model(name: str) -> str:
        return name

    with pytest.raises(InvalidInput):
        await registry.source(given, of_model)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("name = 'net'", f"name = '{model_name(ONE, 'net')}'"),
        ("name=\"net\" AND tags.name = 'x'", f"name = '{model_name(ONE, 'net')}' AND tags.name = 'x'"),
        (f"name='{model_name(TWO, 'net')}'", f"name = '{model_name(TWO, 'net')}'"),
        ("name LIKE '%net'", "name LIKE '%net'"),
        ("run_id = 'r'", "run_id = 'r'"),
    ],
)
def test_filters_by_name_mean_the_callers(text: str, sent: str) -> None:
    assert registry.filtered(text, {ONE}) == sent
    assert registry.filtered(text, {ONE, TWO}) == text
