"""Pydantic's errors as problems of a config: place, field, sentence, nearest known key."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from compute_backend_configs.config import ComputeBackendConfig
from compute_backend_configs.environment import Apptainer, Environment, PythonVenv
from compute_backend_configs.node import Node, Path, dotted, key_text, show
from compute_backend_configs.problems import ConfigProblem
from compute_backend_configs.resources import Resources

MOST_SUGGESTIONS = 100
"""Unknown keys for which the nearest one is looked up, which is slow; a person needs no more."""


def known_keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def nearest(key: str, known: list[str]) -> str | None:
    """The known key that a person who wrote `key` meant, if one is close."""
    folded = {one.casefold(): one for one in known}
    plain = key.casefold().replace("_", "").replace("-", "")
    found = get_close_matches(plain[:64], folded, n=1, cutoff=0.7)
    if found:
        return folded[found[0]]
    return next((one for one in known if len(plain) > 2 and one.casefold().startswith(plain)), None)


def model_at(path: Path) -> type[BaseModel] | None:
    """The model that reads the mapping at `path`."""
    model: type[BaseModel] | None = ComputeBackendConfig
    for step in path:
        fields = model.model_fields.values() if model else ()
        field = next((one for one in fields if one.alias == step), None)
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return model


def problems_of(error: ValidationError, root: Node) -> Iterator[ConfigProblem]:
    found: list[tuple[str, Path, ConfigProblem]] = []
    unknown = 0
    for one in error.errors(include_url=False):
        kind, path = one["type"], one["loc"]
        if path != () or kind != "field":  # contradictions; the loader asks for them itself, also beside other errors
            unknown += kind == "extra_forbidden"
            suggest = unknown <= MOST_SUGGESTIONS
            found.append((kind, path, _problem(kind, path, root, one.get("ctx", {}), suggest=suggest)))
    for kind, path, problem in found:
        if kind != "missing" or not any(f"did you mean `{path[-1]}`?" in other.message for *_, other in found):
            yield problem


def _problem(kind: str, path: Path, root: Node, context: dict[str, Any], *, suggest: bool) -> ConfigProblem:
    node = root.find(path)
    if kind == "extra_forbidden":
        return _unknown(str(path[-1]), path[:-1], node, suggest=suggest)
    if kind == "missing":
        return root.place(path).problem("is missing", allowed="required")
    if kind == "field":
        return node.problem(context["message"], given=context["given"], allowed=context["allowed"])
    given = show(node.value)
    if kind in ("model_type", "dict_type"):
        return node.problem(
            f"must be a mapping of keys to values, not {given}", given=given.strip("`"), allowed="a mapping"
        )
    return node.problem(f"is not valid: {given}", given=given.strip("`"))


def _unknown(key: str, parent: Path, node: Node, *, suggest: bool) -> ConfigProblem:
    model = model_at(parent)
    known = known_keys(model) if model else []
    place = Node({}, node.path, node.mark, node.key)
    shown = key_text(key)
    close = nearest(key, known) if suggest else None
    if close:
        message = f"unknown key `{shown}`; did you mean `{close}`?"
    elif section := _home(key):
        message = f"unknown key `{shown}` here; it belongs under `{dotted(section)}`"
    elif known:
        message = f"unknown key `{shown}`; known here: {', '.join(known)}"
    else:
        message = f"unknown key `{shown}`; no keys are allowed here"
    return place.problem(message, given=shown, allowed=", ".join(known) or None)


def _home(key: str) -> Path:
    homes: dict[Path, type[BaseModel]] = {
        ("Resources",): Resources,
        ("Environment",): Environment,
        ("Environment", "Apptainer"): Apptainer,
        ("Environment", "Python"): PythonVenv,
    }
    for path, model in homes.items():
        if path[-1] != "Python" and key in known_keys(model):
            return path
    return ("Environment", "Variables") if key.isupper() and key.isidentifier() and len(key) > 3 else ()
