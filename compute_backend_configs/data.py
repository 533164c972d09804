"""Parsed data, such as the body of a request, to a tree of nodes and back."""

from collections.abc import Mapping

from compute_backend_configs.node import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, Node, Path, dotted

LARGEST = 10**18


def from_data(data: object) -> Node:
    """A tree without places. Floats become text, as they are in a file.

    Raises ValueError for what no JSON document can hold, and for more than a file may hold.
    """
    return _Reader().read(data, ())


def plain(node: Node) -> object:
    """The tree as plain dicts, lists and scalars."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


class _Reader:
    def __init__(self) -> None:
        self._nodes = 0
        self._characters = 0

    def read(self, data: object, path: Path) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ValueError(f"too large; at most {MAX_NODES} values are read")
        if len(path) > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(data, Mapping):
            entries: dict[str, Node] = {}
            for key, value in data.items():
                name = self._text(str(key))
                entries[name] = self.read(value, (*path, name))
            return Node(entries, path)
        if isinstance(data, list | tuple):
            return Node([self.read(value, (*path, at)) for at, value in enumerate(data)], path)
        if isinstance(data, str):
            return Node(self._text(data), path)
        if data is None or (isinstance(data, int) and abs(data) < LARGEST):
            return Node(data, path)
        if isinstance(data, float):
            return Node(repr(data), path)
        what = (
            "a number that is too large" if isinstance(data, int) else f"a Python {type(data).__name__}, not JSON data"
        )
        raise ValueError(f"{dotted(path)} holds {what}".strip())

    def _text(self, text: str) -> str:
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            raise ValueError(f"too large; at most {MAX_CHARACTERS} characters are read")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair, which is no character") from None
        return text
