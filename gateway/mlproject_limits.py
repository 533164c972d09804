"""What an MLproject may cost the process that reads it. Checked before MLflow sees the file."""

import resource
from collections.abc import Mapping
from pathlib import PurePosixPath
from string import Formatter
from typing import Any

import yaml

LARGEST_FILE = 256 * 2**10
LARGEST_COMMAND = 2**20
MOST_COPIES = 1000
MEMORY = 8 * 2**30
"""Bytes of address space of the child; MLflow's libraries reserve much that they never use."""


class OverLimit(Exception):
    """One sentence for the user."""


def limit_memory() -> None:
    """For the child process, at its start."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most), most))


def check_file(name: str, data: bytes) -> None:
    """Raises OverLimit for a file that is large, or is when its aliases are filled in, or names files elsewhere."""
    if len(data) > LARGEST_FILE:
        raise OverLimit(f"{name} has more than {LARGEST_FILE} bytes. Make it smaller.")
    root = yaml.compose(data, Loader=yaml.SafeLoader)
    sizes: dict[int, int] = {}
    if root is not None and _size(root, sizes) - len(sizes) > MOST_COPIES:
        raise OverLimit(f"{name} is too large with its YAML aliases filled in. Write it without them.")
    content = yaml.safe_load(data)
    for key in ("conda_env", "python_env"):
        path = PurePosixPath(str(content.get(key, ""))) if isinstance(content, dict) else PurePosixPath()
        if path.is_absolute() or ".." in path.parts:
            raise OverLimit(f"{name}: {key} must be a path inside the repository. Write it without `..` and first `/`.")


def check_command(name: str, command: str, values: Mapping[str, object]) -> None:
    """Raises OverLimit for a template that formats, or grows beyond the longest command."""
    size = 0
    for literal, field, form, conversion in Formatter().parse(command):
        if form or conversion:
            raise OverLimit(f"{name}: `{{{field}}}` in a command takes no format. Write the plain name in braces.")
        size += len(literal) + len(str(values.get(field or "", "")))
    if size > LARGEST_COMMAND:
        raise OverLimit(f"{name}: the command has more than {LARGEST_COMMAND} characters. Make it shorter.")


def _size(node: Any, sizes: dict[int, int]) -> int:
    """Nodes below, each alias counted in full; `sizes` are those of the nodes seen."""
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = MOST_COPIES * LARGEST_FILE  # an alias to what it stands in
    inner = node.value if isinstance(node.value, list) else []
    parts = [part for one in inner for part in (one if isinstance(one, tuple) else (one,))]
    sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]
