"""Field types: how one value is read, and the sentence for a value that cannot be."""

import re
import shlex
import unicodedata
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from compute_backend_configs.node import show

MAX_COUNT = 10_000_000
LONGEST_NAME = 1024
MOST_OPTIONS = 1000
SPACED = re.compile(r"\s")
COUNT = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)  # 010 is 8 to some readers of YAML and 10 to others


class Section(BaseModel):
    """A mapping of the config: only its published keys, never changed after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def fault(message: str, given: object = None, allowed: str | None = None) -> PydanticCustomError:
    """The error of a field; `message` is the whole sentence."""
    shown = None if given is None else show(given).strip("`")
    return PydanticCustomError("field", "{message}", {"message": message, "given": shown, "allowed": allowed})


def read_text(value: object) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    else:
        raise fault(f"must be text, not {show(value)}", value, "text")
    if not text.strip():
        raise fault("is empty; give it a value or remove the key", text, "text")
    if "\0" in text:
        raise fault("holds a NUL character", text, "text without NUL characters")
    return text


def read_line(value: object) -> str:
    text = read_text(value)
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise fault(f"must be one line without control characters, not {show(text)}", text, "one line of text")
    if len(text) > LONGEST_NAME:
        raise fault(f"is longer than {LONGEST_NAME} characters", text, f"up to {LONGEST_NAME} characters")
    return text


def read_name(value: object) -> str:
    text = read_line(value)
    if SPACED.search(text):
        raise fault(f"must not hold spaces: {show(text)}", text, "a name without spaces")
    if any(unicodedata.category(character) == "Cf" for character in text):
        raise fault(f"must not hold invisible characters: {show(text)}", text, "a name of visible characters")
    return text


def read_command(value: object) -> str:
    """A command of one or more lines, which end in a plain newline: a shell takes a carriage return for text."""
    return read_text(value).replace("\r\n", "\n")


def read_items(value: object) -> object:
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(value)
    raise fault(f"must be a list, not {show(value)}", value, "a list")


def read_commands(value: object) -> object:
    return read_items(value if value is None or isinstance(value, list | tuple) else [value])


def read_options(value: object) -> object:
    """A list as it is; a string is split as a shell would."""
    if not isinstance(value, str):
        return read_items(value)
    try:
        options = tuple(shlex.split(value))
    except ValueError:
        raise fault(f"has a quote that is not closed: {show(value)}", value, "a list, or one string") from None
    if len(options) > MOST_OPTIONS:
        raise fault(f"holds more than {MOST_OPTIONS} options", None, f"up to {MOST_OPTIONS} options")
    return options


def read_whole_number(value: object, least: int, most: int = MAX_COUNT) -> int:
    number = int(value) if isinstance(value, str) and COUNT.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        allowed = f"a whole number from {least} to {most}"
        raise fault(f"must be {allowed}, not {show(value)}", value, allowed)
    return number


def read_at_least_one(value: object) -> int:
    return read_whole_number(value, 1)


def read_at_least_zero(value: object) -> int:
    return read_whole_number(value, 0)


# An editor's YAML takes `3.10` and `2024` for numbers; the parser keeps their text.
TEXT: dict[str, Any] = {"type": ["string", "number"]}
ONE_OR_MORE = WithJsonSchema({"anyOf": [TEXT, {"type": "array", "items": TEXT}, {"type": "null"}]})

Line = Annotated[str, BeforeValidator(read_line), WithJsonSchema(TEXT)]
Name = Annotated[str, BeforeValidator(read_name), WithJsonSchema(TEXT | {"pattern": r"^\S+$"})]
Lines = Annotated[tuple[Line, ...], BeforeValidator(read_items)]
Options = Annotated[tuple[Line, ...], BeforeValidator(read_options), ONE_OR_MORE]
Commands = Annotated[
    tuple[Annotated[str, BeforeValidator(read_command)], ...], BeforeValidator(read_commands), ONE_OR_MORE
]
Positive = Annotated[int, BeforeValidator(read_at_least_one), Field(json_schema_extra={"minimum": 1})]
Count = Annotated[int, BeforeValidator(read_at_least_zero), Field(json_schema_extra={"minimum": 0})]
