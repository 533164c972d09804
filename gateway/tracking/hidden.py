"""Searches by somebody who sees only what is public: they must not ask, bit by bit, for what is not shown."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import Forbidden
from gateway.tracking.public import SHOWN_TAGS

_ATTRIBUTES = frozenset(
    (
        *("run_id", "run_name", "status", "start_time", "end_time", "created", "name", "model_id", "model_type"),
        *("creation_time", "creation_timestamp", "last_updated_timestamp", "source_run_id", "artifact_count"),
    )
)
_FREE = frozenset({"metric", "metrics", "param", "params", "parameter", "parameters"})
_TAGS = frozenset({"tag", "tags"})
_OWN = frozenset({"attribute", "attributes", "attr", "run"})
# Stricter than MLflow's parser: whatever the two could read differently (escapes, comments) does not match at all.
_NAMED = r"""(?:(?P<kind>[a-z]+)\.)?(?P<key>`[^`'"\\;]+`|"[^`'"\\;]+"|[A-Za-z0-9_./]+)"""
_TEXT = r"""(?:'[^'"`\\;]*'|"[^'"`\\;]*"|[-+.0-9eE]+)"""
_COMPARISON = re.compile(
    rf"{_NAMED}\s*(?:=|!=|<=?|>=?|\s(?:not\s+)?(?:i?like|in)(?=[\s(]))\s*(?:{_TEXT}|\(\s*{_TEXT}(?:\s*,\s*{_TEXT})*\s*,?\s*\))",
    re.IGNORECASE | re.ASCII,
)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE | re.ASCII)
_ORDER = re.compile(rf"{_NAMED}(?:\s+(?:asc|desc))?", re.IGNORECASE | re.ASCII)


def check_search(body: Mapping[str, Any]) -> None:
    """Raises Forbidden for a filter or an order that is not plainly by what the answer shows."""
    order = body.get("order_by") or []
    if not _filter_shown(body.get("filter") or "") or body.get("datasets") or not isinstance(order, list):
        raise _refused()
    for item in order:
        if isinstance(item, dict):
            dataset = any(item.get(key) for key in ("dataset_name", "dataset_digest"))
            item = "" if dataset else item.get("field_name")
        found = _ORDER.fullmatch(item.strip()) if isinstance(item, str) else None
        if found is None or not _shown(found):
            raise _refused()


def _filter_shown(given: object) -> bool:
    if not isinstance(given, str):
        return False
    text = given.strip()
    at = 0
    while text:
        found = _COMPARISON.match(text, at)
        if found is None or not _shown(found):
            return False
        if found.end() == len(text):
            return True
        joined = _AND.match(text, found.end())
        if joined is None:
            return False
        at = joined.end()
    return True


def _shown(found: re.Match[str]) -> bool:
    kind, key = found["kind"], found["key"].strip('`"')
    if kind is None:
        # An unquoted key may hold dots: `dataset.name` is one word here, and none of ours.
        return key in _ATTRIBUTES
    return kind in _FREE or (kind in _TAGS and key in SHOWN_TAGS) or (kind in _OWN and key in _ATTRIBUTES)


def _refused() -> Forbidden:
    return Forbidden(
        "You see of this project what is public only, and cannot filter or order by anything else.",
        next_step="Use metrics, params, run_name, status, start_time or end_time.",
    )
