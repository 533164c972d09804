"""Which paths lead out of a job's directory, by the list of links that its script wrote."""

from pathlib import Path

import pytest

from backends.unicore.links import links_of

TOP = "/site/jobs/J"
LINKS = {
    "outputs/latest": "step-9",
    "outputs/step-9": "../code/model",
    "outputs/abs": f"{TOP}/code/model",
    "outputs/real": "/real/jobs/J/code",
    "outputs/passwd": "/etc/passwd",
    "outputs/up": "../..",
    "outputs/other": "/site/jobs/J2/env",
    "outputs/hidden": "up/x",
    "outputs/loop": "loop",
    "code/deep": "../outputs/latest/..",
    "inputs/..odd": "..odd2",
}


def listed(links: dict[str, str]) -> str:
    return "".join(f"{word}\0" for pair in (("/site/jobs/J", "/real/jobs/J"), *links.items()) for word in pair) + "\0"


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("mantik.log", False),
        ("outputs/latest", False),
        ("outputs/latest/weights", False),
        ("outputs/abs/weights", False),
        ("outputs/real/x", False),
        ("code/deep/model", False),
        ("inputs/..odd", False),
        ("outputs/passwd", True),
        ("outputs/up", True),
        ("outputs/up/J", True),
        ("outputs/other", True),
        ("outputs/hidden", True),
        ("outputs/loop", True),
        ("outputs/latest/../../../x", True),
    ],
)
def test_path(path: str, out: bool) -> None:
    links = links_of(listed(LINKS))
    assert links is not None
    assert links.leads_out(path) is out


def test_what_a_real_file_system_says(tmp_path: Path) -> None:
    top = tmp_path / "J"
    for name in ("outputs", "code/model", "inputs"):
        (top / name).mkdir(parents=True)
    for name, target in LINKS.items():
        (top / name).symlink_to(target.replace(TOP, str(top)))
    fields = {name: str((top / name).readlink()) for name in LINKS}
    words = [word for pair in ((str(top), str(top)), *fields.items()) for word in pair]
    links = links_of("".join(f"{word}\0" for word in words) + "\0")
    assert links is not None
    for name in set(LINKS) - {"outputs/loop", "outputs/real"}:
        assert links.leads_out(name) is not (top / name).resolve().is_relative_to(top), name


@pytest.mark.parametrize("text", ["", "\0", "/a\0/a\0", "/a\0/a\0x\0y\0", "/a\0/a\0x\0\0", "/a\0/a\0x\0y\0\0z"])
def test_a_list_that_is_not_whole_says_nothing(text: str) -> None:
    assert links_of(text) is None


def test_no_links() -> None:
    links = links_of("/a\0/a\0\0")
    assert links is not None
    assert not links.leads_out("outputs/x")
