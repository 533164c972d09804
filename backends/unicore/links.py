"""Symbolic links: a UNICORE server follows all of them and does not tell, so our job script lists them in `links`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath

NAME = "links"
_MOST = 40
"""Links that one path may go through, as in Linux."""


@dataclass(frozen=True, slots=True)
class Links:
    """The links in a job's directory, with the directory's own absolute names."""

    tops: tuple[str, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict)

    def leads_out(self, path: str) -> bool:
        """Whether a path, all links on it resolved, is outside of the directory."""
        todo = path.split("/")
        at = ""
        for _ in range(_MOST * 25):
            if not todo:
                return False
            at = normpath(join(at, todo.pop(0)))
            if at == ".." or at.startswith("../"):
                return True
            target = self.targets.get(at)
            if target is None:
                continue
            inside = self._inside(target)
            if inside is None:
                return True
            todo = [*inside.split("/"), *todo]
            at = "" if target.startswith("/") else dirname(at)
        return True

    def _inside(self, target: str) -> str | None:
        """A target relative to the directory, or to the link when it was relative; None when it is another place."""
        if not target.startswith("/"):
            return target
        for top in self.tops:
            if target == top or target.startswith(f"{top}/"):
                return target.removeprefix(top).lstrip("/") or "."
        return None


def links_of(text: str) -> Links | None:
    """From the file that the job script wrote; None when it is not whole.

    Fields that end with NUL: the directory as it was entered, and without links in its own path; then a link and its
    target, and so on; at last an empty one."""
    fields = text.split("\0")
    if len(fields) < 4 or fields[-2:] != ["", ""] or len(fields) % 2:
        return None
    pairs = iter(fields[2:-2])
    return Links(
        tuple(top.rstrip("/") for top in fields[:2]), {normpath(a): b for a, b in zip(pairs, pairs, strict=True)}
    )
