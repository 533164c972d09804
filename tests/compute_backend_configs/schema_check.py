"""The part of JSON Schema that our schema uses; anything else in a schema is an error of the test."""

import re
from collections.abc import Callable
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
NOT_CHECKED = {"$schema", "$defs", "title", "description", "default", "examples", "format"}


def fits(value: object, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether `value` is valid by `schema`, a part of the document `root`."""

    def below(part: object, one: dict[str, Any]) -> bool:
        return fits(part, one, root)

    is_object, is_number = isinstance(value, dict), isinstance(value, int | float) and not isinstance(value, bool)
    entries: dict[str, object] = value if isinstance(value, dict) else {}
    known = schema.get("properties", {})
    extra = {key: one for key, one in entries.items() if key not in known}
    checks: dict[str, Callable[[Any], bool]] = {
        "$ref": lambda ref: below(value, root["$defs"][ref.removeprefix("#/$defs/")]),
        "anyOf": lambda choices: any(below(value, one) for one in choices),
        "oneOf": lambda choices: sum(below(value, one) for one in choices) == 1,
        "type": lambda kinds: any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)),
        "enum": lambda choices: value in choices,
        "required": lambda keys: not is_object or all(key in entries for key in keys),
        "properties": lambda parts: all(below(entries[key], one) for key, one in parts.items() if key in entries),
        "additionalProperties": lambda rest: (
            not extra if rest is False else all(below(v, rest) for v in extra.values())
        ),
        "propertyNames": lambda rule: all(below(key, rule) for key in entries),
        "items": lambda rule: not isinstance(value, list) or all(below(one, rule) for one in value),
        "pattern": lambda rule: not isinstance(value, str) or re.search(rule, value) is not None,
        "minimum": lambda least: not is_number or value >= least,
        "maximum": lambda most: not is_number or value <= most,
    }
    return all(checks[word](rule) for word, rule in schema.items() if word not in NOT_CHECKED)


def _is(value: object, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
