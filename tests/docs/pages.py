"""The texts of the project, and what they link to."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")])
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_HTML = re.compile(r"<(?:img|a)\s[^>]*(?:src|href)=\"(?P<target>[^\"]+)\"")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Text and target of every link inside the repository."""
    text = _FENCE.sub("", page.read_text())
    for found in _LINK.finditer(text):
        yield found["text"], found["target"]
    for found in _HTML.finditer(text):
        yield "", found["target"]


def local_links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Text, file and anchor of every link that is no address."""
    for text, target in links(page):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield text, (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """Of the headings, as code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}
