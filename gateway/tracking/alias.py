"""The id that a job is given for its MLflow run: the gateway's own, since MLflow may make that run later.

A request of a run token that names it is put into MLflow's words before any rule reads it, so that what was checked is
what goes on. Answers say MLflow's id.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from gateway.tracking.desk import Asked, Pairs
from gateway.tracking.message import KINDS, PARENT_TAG, Kind
from gateway.tracking.routes import Match, Rule

_IN_FILTER = re.compile(
    r"""(?:\brun_id|\bsource_run_id|mlflow\.parentRunId)[`"]?\s*(?:=|!=|(?:\bnot\s+)?\bin\b)\s*(?:'[^']*'|"[^"]*"|\([^)]*\))""",
    re.IGNORECASE,
)


def alias(run_id: UUID) -> str:
    """`MLFLOW_RUN_ID` of a job, in the format of MLflow's ids."""
    return run_id.hex


def stands_in(name: str, path: str, query: Pairs, body: bytes) -> bool:
    """Whether the request holds the alias at all; most hold what MLflow answered."""
    return name in path or any(name in value for _, value in query) or name.encode() in body


def translated(asked: Asked, name: str, mlflow_run_id: str) -> Asked:
    """With MLflow's id wherever the alias stands as the id of a run: in fields and parent tags at any depth, in the
    filter of a search, in the description of a model, and in paths of artifacts."""
    words, pairs = _Words(name, mlflow_run_id), asked.query
    listed = asked.match.route.rule is Rule.ARTIFACT_LIST
    query = [(key, words.path(value) if listed and key == "path" else words.field(key, value)) for key, value in pairs]
    return replace(asked, match=words.match(asked.match), query=query, body=words.item(asked.body))


class _Words:
    def __init__(self, name: str, mlflow_run_id: str) -> None:
        self._name = name
        self._own = mlflow_run_id

    def match(self, match: Match) -> Match:
        given = match.variables.get("path")
        if given is None:
            return match
        path = self.path(given)
        return replace(match, path=match.path.removesuffix(given) + path, variables={**match.variables, "path": path})

    def path(self, path: str) -> str:
        """`<experiment>/<run>/...`"""
        experiment, *rest = path.split("/", 2)
        return "/".join([experiment, *(self._id(part) for part in rest[:1]), *rest[1:]])

    def item(self, item: Mapping[str, Any]) -> dict[str, Any]:
        changed = {key: self.field(key, value) for key, value in item.items()}
        if item.get("key") == PARENT_TAG:
            changed["value"] = self._id(item.get("value"))
        return changed

    def field(self, key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self.field(key, one) for one in value]
        if isinstance(value, dict):
            return self.item(value)
        if KINDS.get(key) is Kind.RUN:
            return self._id(value)
        if key == "filter" and isinstance(value, str):
            return _IN_FILTER.sub(lambda found: found[0].replace(self._name, self._own), value)
        if key == "model_json" and isinstance(value, str):
            return re.sub(rf'("run_id"\s*:\s*"){self._name}"', rf'\g<1>{self._own}"', value)
        return value

    def _id(self, value: Any) -> Any:
        return self._own if value == self._name else value
