"""Tables and small words of the pages."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a `|` in a cell does not end it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in cells)} |" for cells in lines)


def code(words: Iterable[object]) -> str:
    """Each as code, with commas."""
    return ", ".join(f"`{word}`" for word in words)


def _cell(text: str) -> str:
    words = " ".join(text.split()).replace("|", "\\|")
    # Outside of code a `<name>` would be taken for HTML.
    return "`".join(part if n % 2 else part.replace("<", "&lt;") for n, part in enumerate(words.split("`")))
