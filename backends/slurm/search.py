"""Every job of ours with a tag: the queue first, then accounting, which learns names only seconds later."""

from collections.abc import Sequence
from dataclasses import dataclass

from backends.slurm.answers import SEPARATOR, rows, unavailable
from backends.slurm.environment import QUEUE_FILTERS, command

WINDOW = "now-21days"
"""Longer than any run is followed after it was lost. sacct looks at today only unless told."""


@dataclass(frozen=True, slots=True)
class QueueByName:
    """Also jobs that ended within the site's MinJobAge (`--states=all`)."""

    tag: str

    @property
    def argv(self) -> tuple[str, ...]:
        # --me: another user's job of the same name is none of ours.
        options = ("--noheader", "--me", "--states=all", f"--name={self.tag}", f"--format=%i{SEPARATOR}%j")
        return command("squeue", *options, without=QUEUE_FILTERS)

    def parse(self, code: int, stdout: str, stderr: str) -> Sequence[str]:
        if code != 0:
            raise unavailable("squeue", code, stderr)
        return _ids(stdout, self.tag)


@dataclass(frozen=True, slots=True)
class HistoryByName:
    """sacct shows the user's own jobs unless told; a job that is held and never ran stands in the queue only."""

    tag: str

    @property
    def argv(self) -> tuple[str, ...]:
        return command(
            *("sacct", "--allocations", "--parsable2", "--noheader", f"--delimiter={SEPARATOR}"),
            *(f"--name={self.tag}", f"--starttime={WINDOW}", "--format=JobIDRaw,JobName"),
        )

    def parse(self, code: int, stdout: str, stderr: str) -> Sequence[str]:
        if code != 0:
            # Without accounting nothing can say that no job of this name ever ran: not conclusive.
            raise unavailable("sacct", code, stderr)
        return _ids(stdout, self.tag)


def _ids(stdout: str, tag: str) -> list[str]:
    return list(dict.fromkeys(cells[0] for cells in rows(stdout, 2) if cells[1] == tag and cells[0].isdigit()))
