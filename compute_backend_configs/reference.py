"""Writes the reference page of the config: `python -m compute_backend_configs.reference [TARGET]`."""

import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from compute_backend_configs import duration, memory
from compute_backend_configs.config import ComputeBackendConfig
from compute_backend_configs.environment import Apptainer, Environment, PythonVenv
from compute_backend_configs.page import END, SECTIONS, START
from compute_backend_configs.resources import Resources
from compute_backend_configs.shape import json_schema
from compute_backend_configs.sites import FirecrestSite, SshSite

FILE = Path(__file__).parent.parent / "docs/reference/compute-backend-config.md"
MODELS: dict[str, type[BaseModel]] = {
    "Top level": ComputeBackendConfig,
    "Firecrest": FirecrestSite,
    "SSH": SshSite,
    "Environment": Environment,
    "Environment.Apptainer": Apptainer,
    "Environment.Python": PythonVenv,
    "Resources": Resources,
}
TAKES = {"Runtime": duration.ALLOWED, "MemoryPerNode": memory.ALLOWED, "Python": "path, or mapping"}


def page() -> str:
    """The page as Markdown: every key of every section, then how values are read."""
    parts = [START]
    for title, model in MODELS.items():
        parts.append(f"## {title}\n\n{SECTIONS[title]}\n" if title in SECTIONS else f"## {title}\n")
        parts.append(_table(model))
    return "\n".join([*parts, END])


def _table(model: type[BaseModel]) -> str:
    rows = ["| Key | Takes | Default | Meaning |", "|---|---|---|---|"]
    for field in model.model_fields.values():
        rows.append(f"| `{field.alias}` | {_takes(model, field)} | {_default(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _takes(model: type[BaseModel], field: FieldInfo) -> str:
    key = str(field.alias)
    if key in TAKES:
        return TAKES[key]
    schema = json_schema()
    properties = schema if model is ComputeBackendConfig else schema["$defs"][model.__name__]
    if model is PythonVenv:
        properties = properties["anyOf"][1]
    return _kind(properties["properties"][key])


def _kind(schema: dict[str, object]) -> str:
    choices = schema.get("anyOf")
    if isinstance(choices, list):
        return " or ".join(_kind(choice) for choice in choices if choice != {"type": "null"})
    if "enum" in schema and isinstance(schema["enum"], list):
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    if schema.get("format") == "uri":
        return "http(s) URL"
    if schema.get("type") == "integer":
        upper = f" to {schema['maximum']}" if "maximum" in schema else ""
        return f"whole number from {schema.get('minimum')}{upper}"
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    return {"string": "text", "array": "list of text"}.get(str(kind), "mapping")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default is None or not isinstance(field.default, str | int) else f"`{field.default}`"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    target.write_text(page(), encoding="utf-8")
