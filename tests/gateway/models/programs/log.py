"""Logs a model to the run of MLFLOW_RUN_ID, by the real client."""

import json

import mlflow


class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[float]) -> list[float]:
        return [2 * x for x in model_input]


with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(name="twice", python_model=Twice(), pip_requirements=[])
print(json.dumps(logged.model_id))
