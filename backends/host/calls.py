"""Calls that go to the entry script several in one command: their words, their files, and the answer of each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from backends.host.places import Archive, Place
from backends.host.shell import Completed

CUT = Completed(75, b"", b"mantik: the site's answer was cut")
"""Stands for an answer that did not arrive: the call may have been done."""
_ANSWER = re.compile(rb"^mantik-answer (\d{1,9}) (\d{1,9}) (\d{1,9}) (\d{1,9})\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Layout:
    """One attempt to lay out: `last` is `ticket`, or `then` when login-node commands come before the ticket."""

    run: str
    attempt: str
    code: str
    last: str
    files: Mapping[str, bytes]
    code_size: int

    @property
    def key(self) -> str:
        return self.run

    @property
    def size(self) -> int:
        return self.code_size + sum(map(len, self.files.values()))

    @property
    def words(self) -> tuple[str, ...]:
        return self.run, self.attempt, self.code, self.last


@dataclass(frozen=True, slots=True)
class Submit:
    """The submit command `k` of one attempt."""

    place: Place
    k: int
    argv: tuple[str, ...]

    @property
    def key(self) -> Place:
        return self.place

    @property
    def size(self) -> int:
        return sum(map(len, self.argv))


def layout_words(calls: Sequence[Layout]) -> list[str]:
    return [word for call in calls for word in call.words]


def layout_files(calls: Sequence[Layout]) -> bytes:
    """The tar that `layout` takes, see there."""
    archive = Archive()
    for call in calls:
        attempt = f"new/{call.run}/{call.attempt}"
        archive.directory(f"{attempt}/submitted")
        for name, data in call.files.items():
            archive.file(f"{attempt}/{name}", data)
        if call.last == "ticket":
            archive.file(f"{attempt}/laid", b"")
            archive.link(f"{attempt}/ticket", f"{attempt}/laid")
        # It comes last: without it the rest may have been cut.
        archive.symlink(f"of/{call.run}", f"../code/{call.code}")
    return archive.bytes()


def start_words(calls: Sequence[Submit]) -> list[str]:
    """First what the command lines have in common at their beginning: a submit has many words that are the same."""
    columns = zip(*(call.argv for call in calls), strict=False)
    common = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
    words = [str(len(common)), *common]
    for call in calls:
        own = call.argv[len(common) :]
        words += [call.place.run, call.place.attempt, str(call.k), str(len(own)), *own]
    return words


def answers(done: Completed, count: int) -> list[Completed]:
    """What became of each call. A command that failed before any answer is the answer of all; where one is missing or
    not whole, the call's answer is CUT. What a login shell prints before the first does no harm."""
    found: dict[int, Completed] = {}
    match = _ANSWER.search(done.stdout)
    while match:
        index, code, out, err = map(int, match.groups())
        middle = match.end() + out
        end = middle + err
        if done.stdout[end : end + 1] != b"\n":
            break
        found.setdefault(index, Completed(code, done.stdout[match.end() : middle], done.stdout[middle:end]))
        match = _ANSWER.match(done.stdout, end + 1)
    if not found and done.code:
        return [done] * count
    return [found.get(index, CUT) for index in range(count)]
