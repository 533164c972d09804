"""A parsed config as a tree that still knows where each value was written."""

from collections.abc import Mapping
from dataclasses import dataclass

from compute_backend_configs.problems import ConfigProblem, Severity

Scalar = str | int | bool | None
Path = tuple[str | int, ...]

MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_CHARACTERS = 4 * 1024 * 1024  # after aliases are expanded
SHOWN = 80


@dataclass(frozen=True)
class Mark:
    """A place in the text, counted from 1; both None without a text."""

    line: int | None = None
    column: int | None = None


@dataclass
class Node:
    """A value, its path as written, and the places of the value and of its key."""

    value: "Scalar | list[Node] | dict[str, Node]"
    path: Path = ()
    mark: Mark = Mark()
    key: Mark | None = None

    def find(self, path: Path) -> "Node":
        """The node at `path`, or the nearest one above it."""
        node = self
        for step in path:
            below = node._child(step)
            if below is None:
                break
            node = below
        return node

    def _child(self, step: str | int) -> "Node | None":
        if isinstance(self.value, dict) and isinstance(step, str):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            return self.value[step]
        return None

    def place(self, path: Path) -> "Node":
        """The node at `path`; for a key that is missing, a node of that path in the place of the one above it."""
        node = self
        for at, step in enumerate(path):
            below = node._child(step)
            if below is None:
                return Node({}, (*node.path, *path[at:]), node.mark, node.key)
            node = below
        return node

    def problem(
        self, message: str, *, given: str | None = None, allowed: str | None = None, severity: Severity = "error"
    ) -> ConfigProblem:
        """A finding about this node; the file's name is added by the loader."""
        here = self.mark if isinstance(self.value, str | int) or self.key is None else self.key
        return ConfigProblem("", here.line, here.column, dotted(self.path), given, allowed, message, severity)


def dotted(path: Path) -> str:
    """`("Environment", "Modules", 1)` as `Environment.Modules[1]`; odd keys are quoted and cut."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + key_text(step)
    return text


def key_text(key: str) -> str:
    shown = key if len(key) <= SHOWN else key[: SHOWN - 3] + "..."
    return shown if shown.isprintable() and shown else repr(shown)


def show(value: object) -> str:
    """A value as an error message quotes it: short, printable, in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
    if not text:
        return "an empty text"
    text = text if text.isprintable() else repr(text)[1:-1]
    return f"`{text}`" if len(text) <= SHOWN else f"`{text[: SHOWN - 3]}...`"
