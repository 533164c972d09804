"""The file `env` of an attempt: tokens and secrets, each exactly as it is."""

import re
import shlex
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def environment_file(values: Mapping[str, str]) -> bytes:
    """Lines `export NAME='value'` that a shell sources; raises ValueError for a name that no shell takes."""
    lines = []
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a variable")
        if "\0" in value:
            raise ValueError(f"the value of {name} has a NUL character, which no environment can hold")
        lines.append(f"export {name}={shlex.quote(value)}\n")
    return "".join(lines).encode()
