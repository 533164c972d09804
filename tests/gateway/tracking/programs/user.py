"""What a user does with MLflow from their own machine, by the real client."""

import json
import os

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

client = MlflowClient()
told = {}
experiment = mlflow.set_experiment(os.environ["NAME"])
with mlflow.start_run() as run:
    mlflow.log_param("rate", 0.2)

    class Twice(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: list[float]) -> list[float]:
            return [2 * x for x in model_input]

    logged = mlflow.pyfunc.log_model(name="twice", python_model=Twice(), pip_requirements=[])
version = mlflow.register_model(logged.model_uri, "doubler")
client.set_registered_model_alias("doubler", "best", version.version)
told["predicted"] = list(mlflow.pyfunc.load_model("models:/doubler@best").predict([3.0]))
told["models"] = [m.name for m in client.search_registered_models("name = 'doubler'")]
told["versions"] = [v.name for v in client.search_model_versions("name = 'doubler'")]
told["experiments"] = sorted(e.experiment_id for e in client.search_experiments())
told["all_runs"] = len(client.search_runs([experiment.experiment_id]))
told["logged"] = [m.model_id for m in client.search_logged_models(experiment_ids=[experiment.experiment_id])]
try:
    mlflow.set_experiment("a new one")
except MlflowException as error:
    told["refused"] = str(error)
try:
    client.get_run(os.environ["FOREIGN_RUN"])
except MlflowException as error:
    told["foreign"] = str(error)
print(json.dumps(told))
