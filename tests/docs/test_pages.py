"""What the texts point to is there: files, headings, tests, commands."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.docs import commands
from tests.docs.pages import PAGES, ROOT, anchors, local_links, name

DOCS = ROOT / "docs"
SOURCES = sorted(p for part in ("gateway", "backends", "compute_backend_configs") for p in (ROOT / part).rglob("*.py"))
_STARTED = re.compile(r"\b(?:python -m|\.venv/bin/python -m) ([\w.]+)")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for text, target, anchor in local_links(page):
        assert target.exists(), f"[{text}] -> {target}"
        assert target.is_relative_to(ROOT), f"[{text}] -> {target}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"[{text}] -> {name(target)}#{anchor}; there are {anchors(target)}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tests_that_are_named_are_there(page: Path) -> None:
    """A link whose text is the name of a test leads to the file that has it."""
    for text, target, _ in local_links(page):
        if text.startswith("`test_"):
            assert f"def {text.strip('`')}(" in target.read_text(), f"{text} is not in {name(target)}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_exist(page: Path) -> None:
    assert [found for line in commands.shown(page.read_text()) if (found := commands.problem(line))] == []


def test_commands_that_the_program_names_exist() -> None:
    """In sentences for users: `mantik runs list`."""
    named = re.compile(r"`(mantik [a-z][^`\n{]*)`")
    found = {line for source in SOURCES for line in named.findall(source.read_text())}
    assert found
    assert [said for line in found if (said := commands.problem(line.removeprefix("mantik ")))] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs submit MLproject --name a -P x=1 --follow", None),
        ("projects create weather)", None),
        ("runs list -o json | jq .", None),
        ("runs submit MLproject --nme a", "No such option"),
        ("runs start a", "no command mantik runs start"),
        ("runs describe a b", "too many words"),
        ("sites|connections list", None),
    ],
)
def test_a_wrong_command_would_be_found(line: str, said: str | None) -> None:
    found = commands.problem(line)
    assert (found is None) if said is None else (found is not None and said in found)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_modules_and_targets_exist(page: Path) -> None:
    text = page.read_text()
    for module in _STARTED.findall(text):
        if module.partition(".")[0] in ("gateway", "backends", "compute_backend_configs"):
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`|^make (\w+)", text, re.MULTILINE):
        assert f"\n{target[0] or target[1]}:" in makefile, target


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set[Path](), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [target for _, target, _ in local_links(page) if target.suffix == ".md"]
    assert [name(page) for page in DOCS.rglob("*.md") if page not in reached] == []


@pytest.mark.parametrize("picture", sorted(DOCS.rglob("*.svg")), ids=name)
def test_pictures_are_whole_and_have_a_description(picture: Path) -> None:
    root = ET.parse(picture).getroot()
    assert root.get("viewBox")
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert any(target == picture for page in PAGES for _, target, _ in local_links(page))


def test_texts_name_no_place_of_a_machine() -> None:
    places = re.compile(r"/work/|/root/|/home/\w+/")
    assert [(name(p), found[0]) for p in PAGES for found in places.finditer(p.read_text())] == []
