"""What a request names, in every spelling that MLflow reads."""

import json

import pytest

from gateway.errors import InvalidInput
from gateway.tracking import artifacts
from gateway.tracking.artifacts import ArtifactPath
from gateway.tracking.message import Address, Kind, addresses, parse_body

RUN_A, RUN_B = Address(Kind.RUN, "a"), Address(Kind.RUN, "b")
MODEL = Address(Kind.LOGGED_MODEL, "m-1")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"run_id": "a"}, [RUN_A]),
        ({"runId": "a"}, [RUN_A]),
        ({"run_uuid": "a", "run_id": "b"}, [RUN_A, RUN_B]),
        ({"run_id": "", "experiment_ids": [], "modelId": None}, []),
        ({"experiment_ids": ["1", "2"]}, [Address(Kind.EXPERIMENT, "1"), Address(Kind.EXPERIMENT, "2")]),
        ({"metrics": [{"key": "k", "modelId": "m-1"}]}, [MODEL]),
        ({"a": {"b": [{"c": {"sourceRunId": "a"}}]}}, [RUN_A]),
        ({"tags": [{"key": "mlflow.parentRunId", "value": "a"}]}, [RUN_A]),
        ({"key": "mlflow.parentRunId", "value": "a"}, [RUN_A]),
        ({"params": [{"key": "run_id", "value": "a"}]}, []),
    ],
)
def test_what_a_body_names(body: object, named: list[Address]) -> None:
    assert addresses(parse_body(json.dumps(body).encode())) == named


def test_a_body_encoded_twice_is_read_as_mlflow_reads_it() -> None:
    twice = json.dumps(json.dumps({"runId": "a"})).encode()
    assert parse_body(twice) == {"run_id": "a"}


def test_numbers_that_are_none_stay() -> None:
    assert str(parse_body(b'{"value": NaN, "timestamp": 12345678901234567890}')["value"]) == "nan"


@pytest.mark.parametrize(
    "body",
    [
        b'{"run_id": "a", "runId": "b"}',
        b'{"tags": [{"key": "k", "Key": "j"}]}',
        b"[]",
        b"1",
        b"{",
        b'"[]"',
        b"\xff\xfe",
    ],
)
def test_bodies_that_could_be_read_in_two_ways(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_body(body)


@pytest.mark.parametrize(
    "body",
    [{"run_id": 1}, {"run_id": ["a", 1]}, {"run_id": {"x": 1}}, {"run_id": "a b"}, {"run_id": "a/../b"},
     {"experiment_id": "1 "}, {"experiment_id": "\u0661"}, {"experiment_id": "1,2"}, {"model_id": "x"},
     {"key": "mlflow.parentRunId", "value": ["a"]}],
)  # fmt: skip
def test_ids_that_mlflow_would_not_make(body: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        addresses(parse_body(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("1", ArtifactPath("1", None, None, False)),
        ("1/r", ArtifactPath("1", "r", None, False)),
        ("1/r/artifacts/a b/ü.txt", ArtifactPath("1", "r", None, False)),
        ("1/r/artifacts/dir/", ArtifactPath("1", "r", None, False)),
        ("1/models/m-1/artifacts/x", ArtifactPath("1", None, "m-1", False)),
        ("1/models", ArtifactPath("1", None, None, False)),
        ("1/r/artifacts/mantik/job.sh", ArtifactPath("1", "r", None, True)),
        ("1/r/artifacts/100%25.txt", ArtifactPath("1", "r", None, False)),
    ],
)
def test_artifact_paths(path: str, found: ArtifactPath) -> None:
    assert artifacts.parse(path) == found


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/1", "1//r", "1/../2", "1/%2e%2e/2", "1/%252e%252e/2", "%31/r", "1\\r", "1/a\0b", "1/a#b", "x/r"),
        *("models/m-1", "1/./r", "1/%2f/r", "1/%5c", "1/%ff", "+1/r", "1/%" + "25" * 9 + "2e"),
    ],
)
def test_artifact_paths_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        artifacts.parse(path)
