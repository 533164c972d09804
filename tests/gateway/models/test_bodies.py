"""What a body may hold, so that what was stored can be shown to everybody again."""

import json
import math
import uuid

import pytest
from pydantic import BaseModel, ValidationError

from gateway.api.problems import field_problems, problem
from gateway.errors import InvalidInput
from gateway.schemas.models import ChangeModel, RegisterModel
from gateway.schemas.runs import SubmitRun

HALF = json.loads('"\\ud800"')
DEEP = json.loads("[" * 300 + "]" * 300)
MADE = {"name": "net", "experiment_repository_id": uuid.UUID(int=1)}


@pytest.mark.parametrize("value", [math.nan, math.inf, HALF, DEEP, {"a": 1}, None], ids=repr)
@pytest.mark.parametrize("body", [RegisterModel, SubmitRun])
def test_parameters_that_no_answer_could_hold_are_refused(body: type[BaseModel], value: object) -> None:
    given = {key: MADE[key] for key in MADE if key in body.model_fields}
    with pytest.raises(ValidationError, match="mlflow_parameters"):
        body.model_validate({**given, "mlflow_parameters": {"rate": value}})
    kept = {"rate": 0.1, "n": 3, "on": True, "name": "ä 🙂"}
    assert body.model_validate({**given, "mlflow_parameters": kept}).model_dump()["mlflow_parameters"] == kept


@pytest.mark.parametrize("field", ["name", "uri", "location", "artifact_path"])
def test_half_a_character_is_refused_in_every_text(field: str) -> None:
    for body in (RegisterModel, ChangeModel):
        with pytest.raises(ValidationError, match=field):
            body.model_validate({"name": "net", field: f"x{HALF}"})


def test_a_refusal_of_a_name_that_is_half_a_character_can_be_sent() -> None:
    with pytest.raises(ValidationError) as refused:
        RegisterModel.model_validate({"name": "net", "mlflow_parameters": {HALF: 1}})
    answer = problem(InvalidInput(problems=field_problems(refused.value.errors())), "")
    assert json.loads(answer.body)["errors"][0]["field"].startswith("mlflow_parameters.")
