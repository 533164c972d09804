"""Text to tree: what stands between a string and the document in it."""

import re

import yaml

from compute_backend_configs.document import Document, Unreadable
from compute_backend_configs.node import Mark, Node
from compute_backend_configs.problems import ConfigProblem

MAX_SIZE = 1024 * 1024
JSON_STRING_OR_TAB = re.compile(r'"(?:[^"\\]|\\.)*"?|\t', re.DOTALL)


def read_document(text: str) -> tuple[Node, list[ConfigProblem]]:
    """The tree of a YAML or JSON text and its duplicate keys. Raises Unreadable."""
    if len(text) > MAX_SIZE:
        raise Unreadable("larger than 1 MiB, so it is not read")
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("{"):  # JSON may be indented by tabs, which YAML forbids
        text = JSON_STRING_OR_TAB.sub(lambda found: " " if found[0] == "\t" else found[0], text)
    document: Document | None = None
    try:
        document = Document(iter(yaml.parse(text, Loader=yaml.SafeLoader)))
        root = document.read()
    except yaml.reader.ReaderError as error:
        raise Unreadable(
            f"holds the character {_code(error.character)}, which is not allowed", _at(text, error)
        ) from None
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_syntax(error), _mark(error)) from None
    except (ValueError, OverflowError):  # PyYAML lets chr() and int() fail on escapes and directives
        raise Unreadable("holds an escape or a directive outside of what YAML allows") from None
    _join_surrogates(root)
    return root, document.problems


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    if "'\\t'" in problem:
        return "a tab is used for indentation; YAML allows only spaces there"
    if "cannot start any token" in problem or error.context in ("while scanning an alias", "while scanning an anchor"):
        return "a value that starts with one of * & % @ ` needs quotes"
    context = f" ({error.context})" if error.context else ""
    return f"not valid YAML or JSON: {problem}{context}"


def _mark(error: yaml.MarkedYAMLError) -> Mark | None:
    at = error.problem_mark or error.context_mark
    return Mark(at.line + 1, at.column + 1) if at else None


def _at(text: str, error: yaml.reader.ReaderError) -> Mark:
    before = text[: error.position]
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _code(character: int | str) -> str:
    return f"U+{character if isinstance(character, int) else ord(character):04X}"


def _join_surrogates(node: Node) -> None:
    """JSON writes characters beyond U+FFFF as two escapes; YAML reads each on its own."""
    if isinstance(node.value, dict):
        for child in node.value.values():
            _join_surrogates(child)
        node.value = {_joined(key, node.mark): child for key, child in node.value.items()}
    elif isinstance(node.value, list):
        for child in node.value:
            _join_surrogates(child)
    elif isinstance(node.value, str):
        node.value = _joined(node.value, node.mark)


def _joined(text: str, mark: Mark) -> str:
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise Unreadable("holds half of a surrogate pair, which is no character", mark) from None
