"""What a job does by the id it was given and never asks MLflow for another one."""

import json
import os
import pathlib
import tempfile

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

given = os.environ["MLFLOW_RUN_ID"]
client = MlflowClient()
client.log_metric(given, "loss", 0.5)
client.log_batch(given, [Metric("acc", 0.9, 1, 0)], [Param("rate", "0.1")], [RunTag("colour", "green")])
client.log_param(given, "given", given)
with tempfile.TemporaryDirectory() as scratch:
    note = pathlib.Path(scratch, "note.txt")
    note.write_text("hello")
    client.log_artifact(given, str(note), "notes")
listed = [f.path for f in client.list_artifacts(given, "notes")]
text = mlflow.artifacts.load_text(f"runs:/{given}/notes/note.txt")
experiment = client.get_run(given).info.experiment_id

del os.environ["MLFLOW_RUN_ID"]
with mlflow.start_run(parent_run_id=given) as child:
    mlflow.log_metric("loss", 5.0)
with mlflow.start_run() as stranger:
    mlflow.log_metric("loss", 6.0)
below = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{given}'")
itself = client.search_runs([experiment], f"attributes.run_id IN ('{given}') and params.rate = '0.1'")


class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[float]) -> list[float]:
        return [2 * x for x in model_input]


with mlflow.start_run(run_id=given):
    mlflow.pyfunc.log_model(name="twice", python_model=Twice(), pip_requirements=[])
    saved = mlflow.models.Model.log(
        artifact_path=None, name="again", flavor=mlflow.pyfunc, run_id=given, python_model=Twice(), pip_requirements=[]
    )
    still_active = mlflow.active_run().info.run_id
models = client.search_logged_models([experiment], f"source_run_id = '{given}'")
predicted = mlflow.pyfunc.load_model(saved.model_uri).predict([1.0])
client.set_terminated(given, "FAILED")

run = client.get_run(given)
print(
    json.dumps(
        {
            "run": run.info.run_id,
            "active": still_active,
            "status": run.info.status,
            "metrics": run.data.metrics,
            "params": run.data.params,
            "colour": run.data.tags["colour"],
            "history": [m.value for m in client.get_metric_history(given, "loss")],
            "listed": listed,
            "text": text,
            "children": [child.info.run_id, stranger.info.run_id],
            "below": [r.info.run_id for r in below],
            "itself": [r.info.run_id for r in itself],
            "models": sorted(m.name for m in models),
            "predicted": predicted,
        }
    )
)
