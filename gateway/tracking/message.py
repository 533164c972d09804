"""Reading a request as MLflow reads it, so that what was checked is what it acts on."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.errors import Forbidden, InvalidInput
from gateway.tracking.model_versions import is_version


class Kind(StrEnum):
    RUN = "Run"
    EXPERIMENT = "Experiment"
    LOGGED_MODEL = "Logged model"


@dataclass(frozen=True, slots=True)
class Address:
    """Something of a project that a request names."""

    kind: Kind
    id: str


KINDS = {
    "run_id": Kind.RUN,
    "run_ids": Kind.RUN,
    "run_uuid": Kind.RUN,
    "source_run_id": Kind.RUN,
    "experiment_id": Kind.EXPERIMENT,
    "experiment_ids": Kind.EXPERIMENT,
    "model_id": Kind.LOGGED_MODEL,
    "model_ids": Kind.LOGGED_MODEL,
    "source_model_id": Kind.LOGGED_MODEL,
}
PARENT_TAG = "mlflow.parentRunId"
OWN_TAGS = "mantik."
RESERVED_TAGS = (OWN_TAGS, "mlflow.prompt.")
"""Tags that a user may not write: the gateway's own, and what turns a registered model into a prompt."""
_SPELLINGS = {
    Kind.RUN: re.compile(r"[0-9A-Za-z_-]{1,250}"),
    Kind.EXPERIMENT: re.compile(r"[0-9]{1,20}"),
    Kind.LOGGED_MODEL: re.compile(r"m-[0-9a-f]{1,64}"),
}
_CAPITAL = re.compile(r"(?<!^)([A-Z])")


def parse_body(content: bytes) -> dict[str, Any]:
    """The body with one spelling per field, as MLflow's parser takes `runId` for `run_id`. Raises InvalidInput."""
    try:
        body = json.loads(content or b"{}")
        # Old clients encode twice, and MLflow takes that.
        plain = _plain(json.loads(body) if isinstance(body, str) else body)
    except (ValueError, RecursionError):
        raise InvalidInput("The body is not valid JSON.") from None
    if not isinstance(plain, dict):
        raise InvalidInput("The body must be a JSON object.")
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain: dict[str, Any] = {}
    for key, item in value.items():
        name = _CAPITAL.sub(r"_\1", key).lower() if key.lower() != key else key
        if name in plain:
            raise InvalidInput(f"The body has the field {name} in two spellings.")
        if name in KINDS and item in (None, "", []):
            continue  # the same as not given, and one case less
        plain[name] = _plain(item)
    return plain


def addresses(*parts: Mapping[str, Any] | Iterable[tuple[str, str]]) -> list[Address]:
    """Every run, experiment and logged model that bodies and queries name, at any depth, each once."""
    found: dict[Address, None] = {}
    for part in parts:
        pairs = part.items() if isinstance(part, Mapping) else part
        for key, value in pairs:
            found.update(dict.fromkeys(_of_field(key, value)))
        if isinstance(part, Mapping):
            found.update(dict.fromkeys(_parent(part)))
    return list(found)


def _of_field(key: str, value: Any) -> Iterator[Address]:
    if (kind := KINDS.get(key)) is not None:
        for item in value if isinstance(value, list) else [value]:
            if item != "":
                yield address(kind, item)
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield from addresses(item)


def _parent(item: Mapping[str, Any]) -> Iterator[Address]:
    if item.get("key") == PARENT_TAG and item.get("value"):
        yield address(Kind.RUN, item["value"])


def address(kind: Kind, value: object) -> Address:
    """Raises InvalidInput for an id that MLflow would not make: it could mean another one to a database."""
    if not isinstance(value, str) or not _SPELLINGS[kind].fullmatch(value):
        raise InvalidInput(f"{str(value)[:80]!r} is not the id of a {kind.lower()}.")
    return Address(kind, value)


def without_copied_tags(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """MLflow's client copies a version with its tags: those of the gateway are of the first one only."""
    source, tags = body.get("source"), body.get("tags")
    copies = path.endswith("/model-versions/create") and isinstance(source, str) and is_version(source)
    if not copies or not isinstance(tags, list):
        return body
    return {**body, "tags": [tag for tag in tags if not (isinstance(tag, dict) and _is_own(tag.get("key")))]}


def _is_own(key: object) -> bool:
    return isinstance(key, str) and key.startswith(OWN_TAGS)


def refuse_reserved_tags(path: str, body: Mapping[str, Any], tag_key: str | None = None) -> None:
    """Raises Forbidden when a request writes or deletes a tag that is not the user's."""
    keys = [tag.get("key") for tag in body.get("tags") or () if isinstance(tag, dict)]
    if path.endswith("-tag"):
        keys.append(body.get("key"))
    for key in [*keys, *(body.get("tag_keys") or ()), tag_key]:
        if isinstance(key, str) and key.startswith(RESERVED_TAGS):
            raise Forbidden(f"The tag {key} is the gateway's own and cannot be changed here.")
