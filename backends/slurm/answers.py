"""What all Slurm commands say when the site's Slurm is away, and how their fields are read."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from backends.errors import SiteUnavailable

SEPARATOR = "\x1f"
"""ASCII's unit separator: no name, account or reason holds it."""

_ERROR_LINE = re.compile(r"^\w+: (?:error|fatal): (?P<text>.+)$")


def said(stderr: str) -> str:
    """The last error line without the program's name, else the last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [match["text"] for line in lines if (match := _ERROR_LINE.match(line))]
    lines = [line for line in lines if not line.startswith("Try ")]
    return (errors or lines or [""])[-1]


def unavailable(program: str, code: int, stderr: str) -> SiteUnavailable:
    """The site's Slurm gave no answer; what it said is kept."""
    text = said(stderr)
    if code == 127:
        message = f"The host has no {program}. Check that the site is a Slurm login node and {program} is in its PATH."
    else:
        message = f"Slurm on the site does not answer ({program}: {text or f'exit code {code}'}). It is asked again."
    return SiteUnavailable(message, text=stderr.strip())


def rows(stdout: str, fields: int) -> Iterator[list[str]]:
    """Lines of exactly these fields; what a login shell prints besides is skipped. The last field may hold anything."""
    for line in stdout.splitlines():
        cells = line.split(SEPARATOR, fields - 1)
        if len(cells) == fields:
            yield [cell.strip() for cell in cells]


def moment(text: str) -> datetime | None:
    """Slurm's `standard` time, which we ask for in UTC; `Unknown`, `None` and `N/A` are None."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def seconds(text: str) -> int | None:
    """`[days-]hours:minutes:seconds`, `minutes:seconds` or `minutes`; `infinite` and `UNLIMITED` are None."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        return None
    days, first, second, third = (int(group) if group else 0 for group in match.groups())
    if match[4] is not None:
        return days * 86400 + first * 3600 + second * 60 + third
    if match[1] is not None:
        return days * 86400 + first * 3600 + second * 60
    return first * 60 + second


def number(text: str) -> int | None:
    """A count; `32+` (it varies) is read as its least, `infinite` and `n/a` as None."""
    match = re.match(r"\d+", text.strip())
    return int(match[0]) if match else None
