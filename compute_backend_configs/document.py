"""YAML or JSON text to a tree of nodes: bounded, no tags, no guessing of types.

PyYAML's own loaders follow YAML 1.1 (`12:30:00` is 45000, `on` is true, a later key replaces an earlier one), so the
tree is built from its parser's events: only `null`, `true`, `false` and whole numbers are resolved, all else stays
text as written.
"""

import re
from collections.abc import Iterator

import yaml

from compute_backend_configs.node import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, Mark, Node, Path, Scalar, key_text
from compute_backend_configs.problems import ConfigProblem

CONSTANTS: dict[str, Scalar] = dict.fromkeys(("", "~", "null", "Null", "NULL")) | {"true": True, "false": False}
WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
# Neither names the value: it may be a password without quotes.
NO_ANCHOR = "a value that starts with * repeats an earlier `&` value, and there is none of that name; text needs quotes"
STRING_TAGS = {None, "!", "tag:yaml.org,2002:str"}


class Unreadable(Exception):
    """The text has no tree; holds the problem."""

    def __init__(self, message: str, mark: Mark | None = None) -> None:
        super().__init__(message)
        at = mark or Mark()
        self.problem = ConfigProblem("", at.line, at.column, "", None, None, message)


class Document:
    """Reads one document; `problems` collects what does not stop the reading (duplicate keys)."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._characters = 0
        self.problems: list[ConfigProblem] = []

    def read(self) -> Node:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise Unreadable("the config is empty")
        root = self._node(next(self._events), (), None)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise Unreadable("a second document starts here; a config is one document", _mark(after))
        return root

    def _node(self, event: yaml.Event, path: Path, key: Mark | None) -> Node:
        mark = _mark(event)
        self._count(len(event.value) if isinstance(event, yaml.ScalarEvent) else 0, mark)
        if len(path) > MAX_DEPTH:
            raise Unreadable(f"nested more than {MAX_DEPTH} levels deep", mark)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Unreadable(NO_ANCHOR, mark)
            return self._copy(self._anchors[event.anchor], path, mark, key)
        assert isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent)  # noqa: S101
        node = Node(None, path, mark, key)
        if isinstance(event, yaml.ScalarEvent):
            node.value = _scalar(event)
        elif event.tag not in (None, "!"):
            raise Unreadable(_tag_refused(event.tag), mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.value = self._items(path)
        else:
            node.value = self._entries(path)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _items(self, path: Path) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items)), None))
        return items

    def _entries(self, path: Path) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            mark = _mark(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise Unreadable("a key must be plain text, not a list, mapping or alias", mark)
            if event.tag not in STRING_TAGS:
                raise Unreadable(_tag_refused(event.tag), mark)
            name = event.value
            self._count(len(name), mark)
            node = self._node(next(self._events), (*path, name), mark)
            if name == "<<" and event.style is None:
                merged.append(node)
            elif name in entries:
                first = entries[name].key or mark
                message = f"the key `{key_text(name)}` stands twice, in lines {first.line} and {mark.line}"
                self.problems.append(Node({}, node.path, mark, mark).problem(message))
            else:
                entries[name] = node
        for node in merged:
            self._merge(entries, node, path)
        return entries

    def _merge(self, entries: dict[str, Node], source: Node, path: Path) -> None:
        for node in source.value if isinstance(source.value, list) else [source]:
            if not isinstance(node.value, dict):
                raise Unreadable("`<<` takes a mapping or a list of mappings", source.key)
            for name, child in node.value.items():
                if name not in entries:
                    entries[name] = self._copy(child, (*path, name), child.mark, child.key)

    def _copy(self, node: Node, path: Path, mark: Mark, key: Mark | None) -> Node:
        self._count(len(node.value) if isinstance(node.value, str) else 0, mark)
        if len(path) > MAX_DEPTH:
            raise Unreadable(f"nested more than {MAX_DEPTH} levels deep", mark)
        value = node.value
        if isinstance(value, dict):
            value = {name: self._copy(child, (*path, name), child.mark, child.key) for name, child in value.items()}
        elif isinstance(value, list):
            value = [self._copy(child, (*path, at), child.mark, None) for at, child in enumerate(value)]
        return Node(value, path, mark, key)

    def _count(self, characters: int, mark: Mark) -> None:
        self._nodes += 1
        self._characters += characters
        if self._nodes > MAX_NODES or self._characters > MAX_CHARACTERS:
            raise Unreadable(f"too large with its aliases expanded; at most {MAX_NODES} values are read", mark)


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    if event.tag not in STRING_TAGS:
        raise Unreadable(_tag_refused(event.tag), _mark(event))
    text = event.value
    if event.style is not None or event.tag is not None:
        return text
    return int(text) if WHOLE_NUMBER.fullmatch(text) else CONSTANTS.get(text, text)


def _mark(event: yaml.Event) -> Mark:
    at = event.start_mark
    return Mark(at.line + 1, at.column + 1) if at else Mark()


def _tag_refused(tag: str | None) -> str:
    if str(tag).startswith("!"):
        return "a value that starts with ! needs quotes"
    return f"the tag `{key_text(str(tag).replace('tag:yaml.org,2002:', '!!'))}` is not allowed; write plain values"
