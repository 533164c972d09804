"""What a job does with MLflow: all kinds of logging, by the real client."""

import json
import os
import pathlib
import tempfile

import mlflow
from mlflow.tracking import MlflowClient

with mlflow.start_run() as run:
    mlflow.log_param("rate", 0.1)
    for step in range(3):
        mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
    mlflow.log_metrics({"a": 1.0, "b": float("nan")}, step=1)
    mlflow.set_tag("colour", "green")
    with tempfile.TemporaryDirectory() as scratch:
        note = pathlib.Path(scratch, "note with space.txt")
        note.write_text("hello")
        mlflow.log_artifact(str(note), "notes")
    listed = [f.path for f in mlflow.artifacts.list_artifacts(run_id=run.info.run_id, artifact_path="notes")]
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/note with space.txt")
    with mlflow.start_run(nested=True) as child:
        mlflow.log_metric("loss", 5.0)

    class Twice(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: list[float]) -> list[float]:
            return [2 * x for x in model_input]

    model = mlflow.pyfunc.log_model(name="twice", python_model=Twice(), pip_requirements=[])
    loaded = mlflow.pyfunc.load_model(model.model_uri)

client = MlflowClient()
print(
    json.dumps(
        {
            "run": run.info.run_id,
            "status": client.get_run(run.info.run_id).info.status,
            "history": len(client.get_metric_history(run.info.run_id, "loss")),
            "child": child.info.run_id,
            "listed": listed,
            "text": text,
            "predicted": list(loaded.predict([1.0, 2.0])),
            "seen": sorted(r.info.run_id for r in client.search_runs([run.info.experiment_id])),
            "found": mlflow.get_experiment_by_name(os.environ["NAME"]).experiment_id,
            "model": model.model_id,
        }
    )
)
