"""Loads the models that the command names, by the real client; says what they predict, or why they do not load."""

import json
import sys

import mlflow
from mlflow.exceptions import MlflowException

told = {}
for uri in sys.argv[1:]:
    try:
        told[uri] = list(mlflow.pyfunc.load_model(uri).predict([3.0]))
    except MlflowException as error:
        told[uri] = str(error)
print(json.dumps(told))
