"""A job whose code uses every kind of tracking; prints what it saw, as its last line."""

import json
import sys

import mlflow
from mlflow.pyfunc import PythonModel


class Doubled(PythonModel):
    def predict(self, context: object, model_input: list[float]) -> list[float]:
        return [2 * value for value in model_input]


with mlflow.start_run() as run:
    mlflow.log_params({"lr": 0.1, "name": "Größe 'x' \"y\"\n$Z"})
    for step in range(50):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metric("odd", float("nan"))
    mlflow.log_metrics({"a": 1.0, "b": float("inf")}, step=3)
    mlflow.set_tags({"kept": "v1", "gone": "x"})
    mlflow.set_tag("kept", "v2")
    mlflow.delete_tag("gone")
    mlflow.log_text("old", "notes/a b%.txt")
    mlflow.log_text("new", "notes/a b%.txt")
    mlflow.log_text("", "empty.txt")
    with mlflow.start_run(nested=True, run_name="child") as child:
        mlflow.log_metric("c", 3)
    changed = ""
    try:
        mlflow.log_param("lr", 0.2)
    except mlflow.MlflowException as error:
        changed = error.error_code
    model = mlflow.pyfunc.log_model(name="doubled", python_model=Doubled(), pip_requirements=[])
    mlflow.log_metric("of the model", 7, model_id=model.model_id)
    seen = mlflow.get_run(run.info.run_id).data
    client = mlflow.MlflowClient()
    print(
        json.dumps(
            {
                "run": run.info.run_id,
                "child": child.info.run_id,
                "model": model.model_id,
                "params": seen.params,
                "tags": {key: value for key, value in seen.tags.items() if not key.startswith("mlflow.")},
                "loss": len(client.get_metric_history(run.info.run_id, "loss")),
                "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
                "text": mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/a b%.txt"),
                "doubled": mlflow.pyfunc.load_model(model.model_uri).predict([2.0]),
                "changed": changed,
            }
        ),
        flush=True,
    )
sys.exit(0)
