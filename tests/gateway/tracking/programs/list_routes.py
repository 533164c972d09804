"""Prints every route of the installed MLflow server, as [method, path] pairs of JSON. Run with a scratch directory."""

import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
os.environ["MLFLOW_BACKEND_STORE_URI"] = os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{sys.argv[1]}/mlflow.db"

from mlflow.server import app as pages  # noqa: E402
from mlflow.server.fastapi_app import app  # noqa: E402


def walk(router, prefix):
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from walk(inner, prefix + route.include_context.prefix)
        elif getattr(route, "methods", None):
            yield from ((method, prefix + route.path) for method in route.methods)


found = set(walk(app, ""))
for rule in pages.url_map.iter_rules():
    found |= {(method, rule.rule) for method in rule.methods - {"HEAD", "OPTIONS"}}
print(json.dumps(sorted(found)))
