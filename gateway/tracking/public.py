"""What shows of a public project to those who are not its members: parameters, metrics, models; no names or hosts."""

import json
from typing import Any

SHOWN_TAGS = frozenset({"mlflow.runName", "mlflow.note.content", "mlflow.parentRunId", "mlflow.runColor"})
HIDDEN_FIELDS = frozenset({"user_id", "creator_id", "run_link", "dataset_inputs", "source_name", "user_email"})


def redacted(content: bytes) -> bytes:
    """An answer of MLflow without what only members see."""
    return json.dumps(_redacted(json.loads(content))).encode() if content else content


def _redacted(value: Any) -> Any:
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: [tag for tag in item if tag.get("key") in SHOWN_TAGS] if key == "tags" else _redacted(item)
        for key, item in value.items()
        if key not in HIDDEN_FIELDS
    }
