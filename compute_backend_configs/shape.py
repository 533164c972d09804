"""The shape of a config as JSON Schema, for editors and other programs.

It takes every value of the present spelling that the parser takes without a warning, but for counts in quotes. Older
spellings, how sizes and times are written, and what the numbers say together are left to the parser.
"""

from typing import Any

from compute_backend_configs.config import ComputeBackendConfig
from compute_backend_configs.consistency import SITE_KEYS


def json_schema() -> dict[str, Any]:
    """The schema, in the draft 2020-12 of JSON Schema."""
    schema = ComputeBackendConfig.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    definitions["PythonVenv"] = {"anyOf": [{"type": "string", "pattern": "^/"}, definitions["PythonVenv"]]}
    properties = schema["properties"]
    properties["Local"].pop("default")  # null stays: `Local:` is a mapping without keys
    for key in ("Environment", "Resources"):
        properties[key].pop("default", None)
    schema["oneOf"] = [{"required": [key]} for key in SITE_KEYS]
    needs_queue = {"required": ["Resources"], "properties": {"Resources": {"required": ["Queue"]}}}
    schema["anyOf"] = [{"required": ["Local"]}, needs_queue]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
